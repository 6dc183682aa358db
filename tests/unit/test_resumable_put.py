"""An interrupted large put goes on where it stopped, and is one commit that is seen whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from command_line import pix2pix

from pachyderm.client import change_stream, resumable_upload, upload
from pachyderm.client.branches import BranchName
from pachyderm.client.commits import head, history
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import files, read
from pachyderm.client.resumable_upload import memory_of
from pachyderm.client.upload import Put, put
from pachyderm.dag.repos import INPUT_IMAGES

NAMES = [f"/{number // 10}/{number:02}.png" for number in range(30)]

KILLED_AT_20 = """
import os, signal, sys
from pathlib import Path
from pachyderm.client import resumable_upload, upload
from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import INPUT_IMAGES

upload.WORTH_KEEPING, resumable_upload.PORTION = (5, 1 << 30), (8, 1 << 30)
store, local, memory = map(Path, sys.argv[1:])

def progress(done, total, path):
    if done == 20:
        os.kill(os.getpid(), signal.SIGKILL)

with connect(Target(store=store)) as client:
    sources = {f"/{p.relative_to(local)}": p for p in sorted(local.rglob("*.png"))}
    upload.put(client, INPUT_IMAGES, sources, memory=memory, progress=progress)
"""


class PutInterruptedError(BaseException):
    """Raised in the middle of a put, as by Ctrl-C: no handler of errors runs."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Connection]:
    with connect(Target(store=tmp_path / "store")) as connected:
        make_branch(connected)
        yield connected


def make_branch(client: Connection) -> None:
    """Make the branch alone, which takes a tenth of the time that the set-up of all repos takes."""
    client.pfs.create_repo(repo=client.repo(INPUT_IMAGES.repo))
    client.pfs.create_branch(branch=client.branch(INPUT_IMAGES))


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setattr(upload, "WORTH_KEEPING", (5, 1 << 30))
    monkeypatch.setattr(resumable_upload, "PORTION", (8, 1 << 30))
    found = {}
    for name in NAMES:
        found[name] = tmp_path / "local" / name.lstrip("/")
        found[name].parent.mkdir(exist_ok=True, parents=True)
        found[name].write_text(f"content of {name}")
    return found


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "puts" / "this.jsonl"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Return the contents that are sent to the server: path -> bytes."""
    contents: dict[str, bytes] = {}
    addition = change_stream.addition

    def recorded(path: str, piece: bytes) -> Any:
        contents[path] = contents.get(path, b"") + piece
        return addition(path, piece)

    monkeypatch.setattr(change_stream, "addition", recorded)
    return contents


def interrupt_at(last: int) -> Any:
    def progress(done: int, total: int, path: str) -> None:
        assert total == len(NAMES)
        if done == last:
            raise PutInterruptedError

    return progress


def interrupted(client: Connection, sources: Mapping[str, Path], memory: Path, last: int = 20, **more: Any) -> None:
    with pytest.raises(PutInterruptedError):
        put(client, INPUT_IMAGES, sources, memory=memory, progress=interrupt_at(last), **more)


def check(client: Connection, sources: Mapping[str, Path], done: Put) -> None:
    newest = head(client, INPUT_IMAGES)
    assert (newest.id, newest.state) == (done.commit, "good")
    assert set(files(client, newest.repo, newest.id)) == set(sources)
    for path, local in sources.items():
        assert read(client, newest.repo, newest.id, path) == local.read_bytes(), path


def test_a_put_that_was_killed_half_way_sends_only_the_rest_when_it_is_repeated(
    tmp_path: Path, sources: dict[str, Path], memory: Path, sent: dict[str, bytes]
) -> None:
    store = tmp_path / "store"
    with connect(Target(store=store)) as client:
        make_branch(client)
        before = head(client, INPUT_IMAGES).id
    command = [sys.executable, "-c", KILLED_AT_20, str(store), str(tmp_path / "local"), str(memory)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    killed = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with connect(Target(store=store)) as client:
        assert head(client, INPUT_IMAGES).id == before, "nothing of it is visible"
        done = put(client, INPUT_IMAGES, sources, memory=memory)
        assert sorted(sent) == NAMES[16:], "two portions of 8 files had arrived"
        assert sum(map(len, sent.values())) == sum(sources[name].stat().st_size for name in NAMES[16:])
        assert (done.put, done.resumed) == (30, 16)
        check(client, sources, done)
    assert list(memory.parent.iterdir()) == []


def test_a_put_that_is_interrupted_again_and_again_sends_each_portion_once(
    client: Connection, sources: dict[str, Path], memory: Path, sent: dict[str, bytes]
) -> None:
    put(client, INPUT_IMAGES, {"/old.png": sources[NAMES[0]], NAMES[1]: sources[NAMES[0]]})
    sent.clear()
    for last in (9, 17, 25):
        interrupted(client, sources, memory, last, mirror_under="/", message="all")
    done = put(client, INPUT_IMAGES, sources, memory=memory, mirror_under="/", message="all")
    assert done.resumed == 24
    repeated = [path for path, content in sent.items() if content != sources[path].read_bytes()]
    assert repeated == [NAMES[8], NAMES[16], NAMES[24]], "the first file of each portion that was interrupted"
    check(client, sources, done)
    assert head(client, INPUT_IMAGES).description == "all"


def test_what_changed_between_the_two_puts_is_sent_again(
    client: Connection, sources: dict[str, Path], memory: Path, sent: dict[str, bytes]
) -> None:
    interrupted(client, sources, memory)
    sources[NAMES[3]].write_text(f"CONTENT of {NAMES[3]}")
    sent.clear()
    done = put(client, INPUT_IMAGES, sources, memory=memory)
    assert sorted(sent) == NAMES[:8] + NAMES[16:]
    check(client, sources, done)


def test_a_file_that_was_removed_between_the_two_puts_is_not_in_the_commit(
    client: Connection, sources: dict[str, Path], memory: Path
) -> None:
    interrupted(client, sources, memory)
    del sources[NAMES[3]]
    check(client, sources, put(client, INPUT_IMAGES, sources, memory=memory))


def test_a_file_set_that_expired_is_sent_again_without_an_error(
    client: Connection, sources: dict[str, Path], memory: Path, sent: dict[str, bytes]
) -> None:
    interrupted(client, sources, memory)
    first, second = memory.read_text().split()
    memory.write_text(json.dumps({**json.loads(first), "file_set": "0" * 32}) + f"\n{second}\n")
    sent.clear()
    done = put(client, INPUT_IMAGES, sources, memory=memory)
    assert sorted(sent) == NAMES[:8] + NAMES[16:]
    check(client, sources, done)


@pytest.mark.parametrize("damaged", [b'{"file_set": "0', b"\xff\x00", b'{"files": 7}', b""])
def test_a_damaged_line_costs_its_own_files(
    client: Connection, sources: dict[str, Path], memory: Path, sent: dict[str, bytes], damaged: bytes
) -> None:
    interrupted(client, sources, memory)
    _, second = memory.read_bytes().split()
    memory.write_bytes(damaged + b"\n" + second + b"\n")
    sent.clear()
    done = put(client, INPUT_IMAGES, sources, memory=memory)
    assert sorted(sent) == NAMES[:8] + NAMES[16:]
    check(client, sources, done)


@pytest.mark.parametrize("at", ["add_file_set", "finish_commit"])
def test_a_commit_that_was_open_when_its_put_was_killed_is_replaced(
    client: Connection, sources: dict[str, Path], memory: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    before = len(list(history(client, INPUT_IMAGES)))
    with monkeypatch.context() as dying:
        dying.setattr(client.pfs, at, interrupt_at_once)
        dying.setattr(upload, "_delete", lambda *_: None)
        with pytest.raises(PutInterruptedError):
            put(client, INPUT_IMAGES, sources, memory=memory)
    assert head(client, INPUT_IMAGES).state == "open"
    done = put(client, INPUT_IMAGES, sources, memory=memory)
    assert done.resumed == 30
    check(client, sources, done)
    assert len(list(history(client, INPUT_IMAGES))) == before + 1


def interrupt_at_once(**_: object) -> None:
    raise PutInterruptedError


def test_a_put_beside_the_same_put_and_one_that_can_remember_nothing_send_everything(
    client: Connection, sources: dict[str, Path], memory: Path, tmp_path: Path, sent: dict[str, bytes]
) -> None:
    with resumable_upload.resumable_upload(client, memory):
        check(client, sources, put(client, INPUT_IMAGES, sources, memory=memory))
    assert sorted(sent) == NAMES
    for name in NAMES:
        sources[name].write_text(f"other content of {name}")
    (tmp_path / "file").write_text("")
    check(client, sources, put(client, INPUT_IMAGES, sources, memory=tmp_path / "file" / "puts" / "this.jsonl"))


def test_a_local_disk_that_is_full_costs_the_memory_alone(
    client: Connection, sources: dict[str, Path], memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory.parent.mkdir(parents=True)
    with pytest.MonkeyPatch.context() as full:
        full.setattr(resumable_upload, "_opened", lambda path: path.open("rb") if path.touch() is None else None)
        check(client, sources, put(client, INPUT_IMAGES, sources, memory=memory))
    assert "if this upload is interrupted, its last files are sent again" in caplog.text


def test_what_is_remembered_belongs_to_a_server_a_branch_and_sources(tmp_path: Path) -> None:
    here, there = Target(store=tmp_path / "a"), Target(pachd="grpc://127.0.0.1:1")
    branch, environment = BranchName("input_images", "master"), {"XDG_CACHE_HOME": str(tmp_path)}
    found = [
        memory_of(here, branch, "/", ["x"], environment),
        memory_of(there, branch, "/", ["x"], environment),
        memory_of(here, BranchName("training", "master"), "/", ["x"], environment),
        memory_of(here, branch, "/y/", ["x"], environment),
        memory_of(here, branch, "/", ["z"], environment),
    ]
    assert len(set(found)) == 5
    assert {path.parent for path in found if path} == {tmp_path / "pix2pix" / "puts"}
    assert list(tmp_path.iterdir()) == [], "nothing is created"


def test_what_an_upload_remembered_is_forgotten_after_a_day(client: Connection, memory: Path) -> None:
    memory.parent.mkdir(parents=True)
    old = memory.with_name("old.jsonl")
    old.write_text("")
    written = old.stat().st_mtime
    with resumable_upload.resumable_upload(client, memory, lambda: written + 86_000):
        assert old.exists()
    with resumable_upload.resumable_upload(client, memory, lambda: written + 90_000):
        assert not old.exists()


def test_the_command_goes_on_with_what_an_interrupted_one_had_sent(
    tmp_path: Path, sources: dict[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store, local = tmp_path / "store", tmp_path / "local"
    command = ("--store", store, "put", "input_images", local, "--json")
    memory = memory_of(Target(store=store), INPUT_IMAGES, "/", [str(local)], os.environ)
    assert memory is not None
    with connect(Target(store=store)) as client:
        make_branch(client)
        interrupted(client, sources, memory)
    done = pix2pix(capsys, *command).document
    assert (done["files_put"], done["files_resumed"]) == (30, 16)
    assert list(memory.parent.iterdir()) == []
