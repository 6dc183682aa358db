"""The order of a write: data durable before the row that names it, the row durable before the acknowledgement."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from store_writer import Writer, files

from pachyderm.store.database import schema

FULL = 2
"""SQLite's number of ``synchronous=FULL``: each COMMIT waits until the write-ahead log is on the disk."""


class Recorder:
    """What a store's process asked the disk to do.

    Attributes:
        calls: the operations in their order, each with the path that it is about.
        synchronous: SQLite's setting in each connection that was opened.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[str, str]] = []
        self.synchronous: list[int] = []
        for name in ("fsync", "fdatasync"):
            monkeypatch.setattr(os, name, self._synced(getattr(os, name)))
        monkeypatch.setattr(os, "rename", self._renamed(os.rename))
        monkeypatch.setattr(schema, "connect", self._connected(schema.connect))

    def _synced(self, sync: Any) -> Any:
        def recorded(handle: int) -> None:
            sync(handle)
            self.calls.append(("sync", str(Path(f"/proc/self/fd/{handle}").readlink())))

        return recorded

    def _renamed(self, rename: Any) -> Any:
        def recorded(source: Any, target: Any, **more: Any) -> None:
            rename(source, target, **more)
            self.calls.append(("rename", str(target)))

        return recorded

    def _connected(self, connect: Any) -> Any:
        def recorded(path: Path) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(path)
            connection.set_trace_callback(self._stated)
            self.synchronous.append(connection.execute("PRAGMA synchronous").fetchone()[0])
            return connection

        return recorded

    def _stated(self, statement: str) -> None:
        if statement.startswith(("INSERT INTO packs", "COMMIT")):
            self.calls.append((" ".join(statement.split()[:1]).lower(), "store.db"))


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Recorder, Writer]]:
    recorder = Recorder(monkeypatch)
    writer = Writer(tmp_path)
    yield recorder, writer
    writer.server.stop()


def test_data_is_durable_before_its_row_and_its_row_before_the_acknowledgement(
    recorded: tuple[Recorder, Writer], tmp_path: Path
) -> None:
    recorder, writer = recorded
    branch = writer.repo("source")
    recorder.calls.clear()
    writer.commit(branch, files("large", 2, 3))
    acknowledged = recorder.calls.index(("sync", str(tmp_path / "notes")))
    (pack,) = (tmp_path / "data" / "objects" / "packs").iterdir()
    order = [
        ("sync", str(tmp_path / "data" / "objects" / "parts" / pack.name)),
        ("rename", str(pack)),
        ("sync", str(pack.parent)),
        ("insert", "store.db"),
        ("commit", "store.db"),
    ]
    assert [call for call in recorder.calls[:acknowledged] if call in order] == order


def test_every_connection_waits_for_the_disk_at_each_commit(recorded: tuple[Recorder, Writer], tmp_path: Path) -> None:
    recorder, writer = recorded
    writer.commit(writer.repo("source"), files("small", 0, 1))
    assert len(recorder.synchronous) > 1 and set(recorder.synchronous) == {FULL}
    with closing(sqlite3.connect(tmp_path / "data" / schema.DATABASE)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
