"""Notebooks with python-pachyderm, the predecessor of the SDK, work against `pix2pix store serve`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pachyderm.client.commits import head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import files, read
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING

pytestmark = [pytest.mark.long, pytest.mark.clients]

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
JOB = Path(__file__).with_name("main_job.py")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a `pix2pix store serve`."""
    folder = tmp_path_factory.mktemp("store")
    command = [sys.executable, "-m", "cli.main", "--store", str(folder / "data")]
    server = subprocess.Popen(
        [*command, "store", "serve", "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout
        address = server.stdout.readline().strip()
        subprocess.run([*command, "--pachd", f"grpc://{address}", "setup"], check=True, capture_output=True)
        yield address
    finally:
        server.terminate()
        server.communicate(timeout=30)


@pytest.fixture(scope="module")
def report(address: str) -> dict[str, Any]:
    """The output of `main_job.py`."""
    assert PYTHON.exists(), f"{PYTHON} is missing; `make test-clients` creates it"
    done = subprocess.run([PYTHON, JOB, address], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def client(address: str, report: dict[str, Any]) -> Iterator[Connection]:
    """A connection of this project, after the other client has finished."""
    with connect(Target(pachd=f"grpc://{address}")) as connected:
        yield connected


def test_the_client_is_python_pachyderm(report: dict[str, Any]) -> None:
    assert report["version"].startswith("7.6")


def test_it_creates_repos_and_branches_with_provenance(report: dict[str, Any]) -> None:
    assert {"notes", "training", "input_images", "checkpoint", "model"} <= set(report["create"]["repos"])
    assert report["create"]["upstream"] == ["training@master"]


def test_it_puts_files_that_pix2pix_can_read(report: dict[str, Any], client: Connection) -> None:
    commit = report["put"]["id"]
    assert report["put"]["error"] == ""
    listing = files(client, "training", commit)
    assert {path: entry.bytes for path, entry in listing.items()} == {
        "/facades/1.jpg": 256_000,
        "/facades/2.jpg": 3,
        "/facades/3.jpg": 5,
    }
    assert report["put"]["bytes"] == 256_008
    assert read(client, "training", commit, "/facades/1.jpg") == bytes(range(256)) * 1000


def test_a_subscription_yields_the_output_commit_of_its_put(report: dict[str, Any]) -> None:
    assert report["subscribe"] == {"repo": "checkpoint", "open": True}


def test_it_lists_and_gets_the_files_that_it_put(report: dict[str, Any]) -> None:
    paths = ["/facades/1.jpg", "/facades/2.jpg", "/facades/3.jpg"]
    assert report["read"] == {
        "listed": paths,
        "walked": ["/", "/facades/", *paths],
        "matched": paths[:2],
        "sizes": [256_000, 3, 5],
        "whole": True,
        "archived": [path[1:] for path in paths],
        "exists": [True, False],
    }


def test_the_provenance_of_its_output_leads_to_its_pictures(report: dict[str, Any], client: Connection) -> None:
    provenance = report["provenance"]
    assert provenance["finished"]
    assert provenance["branch"] == ["training@master"]
    assert provenance["set"] == ["checkpoint", "model", "notes", "training"]
    commit = inspect(client, "checkpoint", report["put"]["id"])
    assert commit.state == "good"
    assert files(client, "checkpoint", commit.id).keys() == {"/checkpoint"}


def test_a_transaction_is_one_commit_set_or_nothing(report: dict[str, Any], client: Connection) -> None:
    transactions = report["transactions"]
    assert "no-such-repo" in transactions["refusal"]
    assert transactions["abandoned"] == 0
    assert transactions["one_set"]
    assert head(client, TRAINING).id == head(client, INPUT_IMAGES).id == transactions["id"]
    assert read(client, "training", transactions["id"], "/facades/4.jpg") == b"four"
