"""Damaged content that is sent again heals the store, even during a repair; no write relies on damaged content."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from embedded_store import packs, store
from pachyderm_sdk.api import pfs
from server_under_test import Pachd, refused, soon

from pachyderm.client.connection import translate
from pachyderm.errors import ServerError
from pachyderm.store.database.schema import DATABASE
from pachyderm.store.maintenance import fsck
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.objects.block_writer import INLINE
from pachyderm.store.objects.blocks import BLOCK

pytestmark = pytest.mark.embedded

SMALL = b"small"
MIDDLE = bytes(range(256)) * (2 * INLINE // 256)
LARGE = b"".join(bytes([number]) * 4096 for number in range(256)) * 3 + b"the end"


def damage_pack(folder: Path) -> None:
    for pack in packs(folder):
        with pack.open("r+b") as file:
            file.seek(100)
            file.write(b"damage")


def damage_row(folder: Path, table: str, column: str) -> None:
    connection = sqlite3.connect(folder / "data" / DATABASE)
    for name, data in connection.execute(f"SELECT id, {column} FROM {table}").fetchall():
        connection.execute(f"UPDATE {table} SET {column}=? WHERE id=?", (bytes([data[0] ^ 1]) + data[1:], name))
    connection.commit()
    connection.close()


def damage_inlined(folder: Path) -> None:
    damage_row(folder, "inlined", "data")


def damage_list(folder: Path) -> None:
    damage_row(folder, "lists", "blocks")


def lose_pack(folder: Path) -> None:
    for pack in packs(folder):
        pack.unlink()


DAMAGES = [
    pytest.param(MIDDLE, damage_pack, id="pack"),
    pytest.param(LARGE, damage_pack, id="one of many blocks"),
    pytest.param(MIDDLE, lose_pack, id="lost pack"),
    pytest.param(SMALL, damage_inlined, id="inlined"),
    pytest.param(LARGE, damage_list, id="list"),
]


@pytest.mark.parametrize(("data", "damage"), DAMAGES)
def test_damaged_content_that_is_sent_again_heals_every_commit(
    tmp_path: Path, data: bytes, damage: Callable[[Path], None]
) -> None:
    with store(tmp_path) as pachd:
        branch = pachd.branch(pachd.repo())
        first = pachd.write(branch, {"/a": data})
    damage(tmp_path)
    with store(tmp_path) as pachd:
        second = pachd.write(pachd.branch(pachd.repo()), {"/b": data})
        assert pachd.read(second, "/b") == data
        assert pachd.read(first, "/a") == data
    assert [problem for problem in check(tmp_path / "data") if not problem.where.startswith("pack ")] == []


def test_a_damaged_page_that_is_written_again_is_replaced(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        first = pachd.write(pachd.branch(pachd.repo()), {"/a": SMALL})
    damage_row(tmp_path, "pages", "data")
    with store(tmp_path) as pachd:
        pachd.write(pachd.branch(pachd.repo()), {"/a": SMALL})
        assert pachd.files(first) == {"/a": SMALL}
    assert check(tmp_path / "data") == []


def slowly(branch: pfs.Branch, data: bytes, sent: threading.Event, end: threading.Event) -> Iterator[object]:
    yield pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
    for part in range(0, len(data), BLOCK):
        yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/again", raw=data[part : part + BLOCK]))
    yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/none"))
    for number in range(50):
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=f"/{number}"))
    sent.set()
    end.wait(30)


def send_slowly(pachd: Pachd, data: bytes, meanwhile: Callable[[], object]) -> tuple[pfs.Branch, BaseException | None]:
    """Send a file to a new branch, and do something before the stream ends; return the branch and the error."""
    branch = pachd.branch(pachd.repo("again"))
    sent, end = threading.Event(), threading.Event()
    writing = soon(lambda: pachd.client.pfs.modify_file(slowly(branch, data, sent, end)))
    assert sent.wait(30)
    meanwhile()
    end.set()
    return branch, writing.exception(30)


@pytest.mark.parametrize("data", [MIDDLE, LARGE], ids=len)
def test_content_that_is_sent_again_while_a_repair_runs_keeps_its_bytes(tmp_path: Path, data: bytes) -> None:
    with store(tmp_path) as pachd:
        pachd.write(pachd.branch(pachd.repo()), {"/a": data})
    damage_pack(tmp_path)
    with store(tmp_path) as pachd:
        branch, error = send_slowly(pachd, data, lambda: check(tmp_path / "data", repair=True))
        assert error is None
        assert pachd.read(pachd.commit(branch), "/again") == data
    assert check(tmp_path / "data") == []


@pytest.mark.parametrize("data", [MIDDLE, SMALL], ids=len)
def test_a_repair_leaves_an_object_that_was_healed_since_it_was_checked(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store(tmp_path) as pachd:
        first = pachd.write(pachd.branch(pachd.repo()), {"/a": data})
    damage_inlined(tmp_path) if data is SMALL else damage_pack(tmp_path)
    find = fsck.problems_of
    with store(tmp_path) as pachd:

        def overtaken(engine: object) -> object:
            problems = find(engine)
            pachd.write(pachd.branch(pachd.repo()), {"/b": data})
            return problems

        monkeypatch.setattr(fsck, "problems_of", overtaken)
        assert [problem.code for problem in check(tmp_path / "data", repair=True)] == ["DAMAGED"]
        assert pachd.read(first, "/a") == data
    monkeypatch.undo()
    assert check(tmp_path / "data") == []


def test_a_write_that_relies_on_what_a_repair_removed_is_refused_and_succeeds_when_sent_again(tmp_path: Path) -> None:
    def repair() -> None:
        damage_pack(tmp_path)
        assert [problem.repaired for problem in check(tmp_path / "data", repair=True)] == [True]

    with store(tmp_path) as pachd:
        pachd.write(pachd.branch(pachd.repo()), {"/a": MIDDLE})
        branch, error = send_slowly(pachd, MIDDLE, repair)
        assert isinstance(error, grpc.RpcError)
        assert error.code() is grpc.StatusCode.ABORTED
        assert "removed data that this write relies on" in error.details()
        shown = translate(error)
        assert isinstance(shown, ServerError)
        assert "send it again" in str(shown)
        assert "cannot be reached" not in str(shown)
        commit = pachd.write(branch, {"/again": MIDDLE})
        assert pachd.read(commit, "/again") == MIDDLE
    assert check(tmp_path / "data") == []


@pytest.mark.parametrize(("data", "damage"), DAMAGES)
def test_damaged_content_is_not_copied(tmp_path: Path, data: bytes, damage: Callable[[Path], None]) -> None:
    with store(tmp_path) as pachd:
        first = pachd.write(pachd.branch(pachd.repo()), {"/a": data})
    damage(tmp_path)
    with store(tmp_path) as pachd, refused("pix2pix store fsck", grpc.StatusCode.DATA_LOSS):
        pachd.modify(pachd.branch(pachd.repo()), pfs.CopyFile(dst="/b", src=pfs.File(commit=first, path="/a")))
