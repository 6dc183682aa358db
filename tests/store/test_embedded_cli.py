"""`pix2pix store`: prints its address, warns if others can reach it, stops on a signal, checks and collects."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from embedded_store import packs, store
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused

pytestmark = pytest.mark.embedded


def command(folder: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", "--store", str(folder / "data"), "store", *words]


@contextmanager
def serving(folder: Path, *words: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        command(folder, "serve", *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_prints_its_address_when_it_is_ready_and_ends_on_a_signal(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, "--listen", "127.0.0.1:0") as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        host, port = address.split(":")
        assert list(Client(host=host, port=int(port)).pfs.list_repo()) == []
        process.send_signal(number)
        _, messages = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "warning" not in messages
        assert "Traceback" not in messages


def test_serve_warns_where_other_machines_can_reach_it(tmp_path: Path) -> None:
    with serving(tmp_path, "--listen", "0.0.0.0:0") as process:
        assert process.stdout
        process.stdout.readline()
        process.terminate()
        assert "no authentication" in process.communicate(timeout=20)[1]


def test_serve_refuses_a_folder_that_is_not_a_store_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("x")
    done = subprocess.run(command(tmp_path, "serve"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "is not a store" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_fsck_and_gc_report_what_they_found_and_did(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        kept = pachd.write(branch, {"/a": b"a" * 100_000})
        pachd.client.pfs.drop_commit(commit=pachd.write(branch, {"/b": b"b" * 200_000}))

        def run(*words: str) -> "subprocess.CompletedProcess[str]":
            return subprocess.run(command(tmp_path, *words), capture_output=True, text=True, check=False)

        assert json.loads(run("fsck", "--json").stdout) == {"problems": []}
        assert json.loads(run("gc", "--grace", "0", "--json").stdout)["bytes"] == 200_000
        assert pachd.read(kept, "/a") == b"a" * 100_000
        with packs(tmp_path)[0].open("r+b") as pack:
            pack.write(b"x")
        found = run("fsck", "--json")
        assert found.returncode == 1
        assert [problem["code"] for problem in json.loads(found.stdout)["problems"]] == ["DAMAGED"]
        assert "moved aside" in run("fsck", "--repair").stdout or run("fsck", "--repair").returncode == 1


@pytest.mark.parametrize("words", [(), ("--url-sources",)])
def test_serve_reads_urls_only_with_the_option(tmp_path: Path, words: tuple[str, ...]) -> None:
    with serving(tmp_path, "--listen", "127.0.0.1:0", *words) as process:
        assert process.stdout
        host, port = process.stdout.readline().strip().split(":")
        pachd = Pachd(lambda: Client(host=host, port=int(port)))
        commit = pachd.start(pfs.Branch(repo=pachd.repo(), name="master"))
        with refused("connection refused" if words else "--url-sources"):
            pachd.modify(commit, pfs.AddFile(path="/a", url=pfs.AddFileUrlSource(url="http://127.0.0.1:1/")))
