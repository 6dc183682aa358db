"""Pachyderm away, and a store that cannot be used: the pages say so, and recover."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

import pytest
from served import Served
from web_site import Site, png, ready

from pachyderm.client import connection
from pachyderm.client.connection import Target, connect
from pachyderm.dag.setup import set_up
from pachyderm.protocol import channel

HTML = {"accept": "text/html"}


def test_pages_say_that_pachyderm_is_away_and_work_again_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "open_channel", partial(channel.open_channel, read_pauses=(0.5,)))
    with Served(tmp_path / "store") as served:
        target = Target(pachd=f"grpc://{served.address}", store=tmp_path / "store")
        with connect(target) as connected:
            set_up(connected)
            site = Site(target, connected, tmp_path)
            site.train()
            with site.serve() as client:
                ready(client)
                served.leave()
                away = client.get("/", headers=HTML)
                assert away.status_code == 503 and served.address in away.text
                assert client.post("/api/translate", content=png()).status_code == 200, "the model stays in memory"
                served.come_back()
                while client.get("/", headers=HTML).status_code != 200:
                    pass


def test_a_store_of_a_newer_version_is_named_on_every_page_and_left_alone(empty: Site, tmp_path: Path) -> None:
    database = tmp_path / "newer" / "store.db"
    with connect(Target(store=database.parent)) as connected:
        set_up(connected)
    file = sqlite3.connect(database)
    file.execute("PRAGMA user_version = 999")
    file.commit()
    file.close()
    before = database.read_bytes()
    with empty.serve(target=Target(store=database.parent)) as client:
        page = client.get("/", headers=HTML)
        assert page.status_code == 500 and "use a newer pix2pix or another store" in page.text
        assert client.get("/readyz").status_code == 503
    assert database.read_bytes() == before
