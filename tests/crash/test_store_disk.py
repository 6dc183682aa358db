"""The disk is full, fails or is read-only, at each step: a clear answer, nothing half done, a store that goes on."""

import errno
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk.api import pfs
from store_writer import Writer, acknowledged, body, files, requests

from pachyderm.errors import PachydermError
from pachyderm.store.database import failpoints, schema
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.rpc.server import StoreServer

ANSWERS = {
    errno.ENOSPC: (grpc.StatusCode.RESOURCE_EXHAUSTED, "the disk is full"),
    errno.EIO: (grpc.StatusCode.DATA_LOSS, "disk failed"),
    errno.EROFS: (grpc.StatusCode.FAILED_PRECONDITION, "cannot be written"),
}


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def work(folder: Path) -> None:
    """Streams of each size, a file set and a transaction."""
    writer = Writer(folder)
    try:
        branch = writer.repo("source")
        for number, kinds in enumerate([(0, 1), (2, 3), (3, 3, 0)]):
            writer.commit(branch, files(f"w{number}", *kinds))
        name = writer.client.pfs.create_file_set(requests(files("set", 2))).file_set_id
        with writer.client.transaction.transaction():
            commit = writer.client.pfs.start_commit(branch=branch)
        writer.client.pfs.add_file_set(commit=commit, file_set_id=name)
        writer.client.pfs.finish_commit(commit=commit)
        writer.note(repo="source", paths=files("set", 2))
    finally:
        writer.server.stop()


def verify(folder: Path) -> None:
    assert check(folder / "data") == []
    writer = Writer(folder)
    branch = writer.repo("source")
    head = writer.client.pfs.inspect_branch(branch=branch).head
    if writer.client.pfs.inspect_commit(commit=head).finished.timestamp() <= 0:
        writer.client.pfs.finish_commit(commit=head)
    head = writer.commit(branch, files("after", 1, 2))
    for note in acknowledged(folder):
        for path in note["paths"]:
            pieces = writer.client.pfs.get_file(file=pfs.File(commit=head, path=path))
            assert b"".join(piece.value for piece in pieces) == body(path)
    writer.server.stop()
    assert check(folder / "data") == []


def fail_at(folder: Path, number: int, kind: int) -> bool:
    """Let the n-th operation fail; False where there are fewer."""
    folder.mkdir()
    failpoints.arm(f"*=errno:{kind}@{number}")
    try:
        work(folder)
    except grpc.RpcError as error:
        code, text = ANSWERS[kind]
        assert error.code() is code, error.details()
        assert text in error.details()
    except PachydermError as error:
        assert str(folder) in str(error)
    else:
        return False
    finally:
        failpoints.arm("")
    verify(folder)
    return True


@pytest.mark.parametrize("kind", ANSWERS, ids=errno.errorcode.get)
def test_an_operation_that_fails_is_answered_clearly_and_harms_nothing(tmp_path: Path, kind: int) -> None:
    number = 1 + kind % 7
    while fail_at(tmp_path / str(number), number, kind):
        number += 9
    assert number > 20


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ANSWERS, ids=errno.errorcode.get)
def test_every_operation_that_fails_is_answered_clearly_and_harms_nothing(tmp_path: Path, kind: int) -> None:
    number = 1
    while fail_at(tmp_path / str(number), number, kind):
        number += 1
    print(f"{errno.errorcode[kind]}: {number - 1} operations failed, one at a time")  # noqa: T201
    assert number > 40


def test_a_disk_that_fills_up_under_the_database_is_answered_and_can_be_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = schema.connect

    def narrow(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count=90")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(schema, "connect", narrow)
        writer = Writer(tmp_path)
        branch = writer.repo("source")
        with pytest.raises(grpc.RpcError, match="the disk is full") as caught:
            for number in range(1000):
                writer.commit(branch, files(f"w{number}", 1, 0))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(acknowledged(tmp_path)) > 3
        writer.server.stop()
    verify(tmp_path)


def test_a_full_disk_at_the_first_opening_is_a_storage_error(tmp_path: Path) -> None:
    failpoints.arm(f"schema.before=errno:{errno.ENOSPC}")
    with pytest.raises(PachydermError, match=r"disk of the store .* is full"):
        StoreServer(tmp_path / "data", f"unix:{tmp_path / 's'}")
    failpoints.arm("")
    with StoreServer(tmp_path / "data", f"unix:{tmp_path / 's'}"):
        pass
    assert check(tmp_path / "data") == []
