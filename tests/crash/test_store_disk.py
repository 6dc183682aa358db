"""A disk that is full, fails or is read-only, at each step: a clear error, no partial effect, a store that works on."""

import errno
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from small_disk import small_disk
from store_writer import Writer, acknowledged, body, files, requests

from pachyderm.client.commits import inspect
from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.errors import PachydermError, StorageError
from pachyderm.store.database import connections, failpoints, schema
from pachyderm.store.graph import transactions
from pachyderm.store.graph.graph_update import GraphUpdate
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.maintenance.gc import collect
from pachyderm.store.rpc.server import StoreServer

ANSWERS = {
    errno.ENOSPC: (grpc.StatusCode.RESOURCE_EXHAUSTED, "is full; free some space"),
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


def leftover_files(store: Path) -> set[str]:
    """Pack files that the tables do not name, finished or not."""
    with sqlite3.connect(store / schema.DATABASE) as connection:
        recorded = {name for (name,) in connection.execute("SELECT name FROM packs")}
    connection.close()
    return {path.name for kind in ("parts", "packs") for path in (store / "objects" / kind).iterdir()} - recorded


def verify(folder: Path) -> None:
    assert check(folder / "data") == []
    assert leftover_files(folder / "data") == set()
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
    """Let the n-th operation fail; False if there are fewer."""
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
def test_every_operation_that_fails_is_answered_clearly_and_harms_nothing(
    tmp_path: Path, kind: int, volume: Callable[[int, int], int]
) -> None:
    number, failed = 1, 0
    while fail_at(tmp_path / str(number), number, kind):
        number += 100 // volume(100, 20)
        failed += 1
    print(f"{errno.errorcode[kind]}: {failed} operations failed, one at a time")  # noqa: T201
    assert number > 40


def test_a_disk_that_fills_up_under_the_database_is_answered_and_can_be_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = connections.connect

    def narrow(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count=90")
        return connection

    with monkeypatch.context() as patched:
        patched.setattr(connections, "connect", narrow)
        writer = Writer(tmp_path)
        branch = writer.repo("source")
        with pytest.raises(grpc.RpcError, match="the disk is full") as caught:
            for number in range(1000):
                writer.commit(branch, files(f"w{number}", 1, 0))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(acknowledged(tmp_path)) > 3
        writer.server.stop()
    verify(tmp_path)


def test_a_put_refused_because_the_database_is_full_keeps_no_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = connections.connect

    def narrow(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.execute("PRAGMA max_page_count=70")
        return connection

    monkeypatch.setattr(connections, "connect", narrow)
    writer = Writer(tmp_path)
    branch = writer.repo("source")
    with pytest.raises(grpc.RpcError, match="the disk is full"):
        for number in range(1000):
            writer.commit(branch, [f"/w{number}/{place}.2" for place in range(20)])
    assert acknowledged(tmp_path)
    assert leftover_files(tmp_path / "data") == set()
    writer.server.stop()


def test_a_transaction_that_is_only_tried_keeps_no_pack(tmp_path: Path) -> None:
    """Finishing the older commit applies the newer one's appends, whose joined content goes into a pack."""
    writer = Writer(tmp_path)
    pachd = writer.client
    source, output = writer.repo("source"), writer.repo("output", "source")
    pachd.pfs.finish_commit(commit=pachd.pfs.inspect_branch(branch=output).head)
    older, newer = [
        pfs.Commit(repo=output.repo, id=writer.commit(source, files(name, 0)).id) for name in ("first", "second")
    ]
    for _ in range(2):
        append = pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/log", raw=body("/log.2")))
        name = pachd.pfs.create_file_set(iter([append])).file_set_id
        pachd.pfs.add_file_set(commit=newer, file_set_id=name)
    pachd.pfs.finish_commit(commit=newer)
    packs = list((tmp_path / "data" / "objects" / "packs").iterdir())
    with pachd.transaction.transaction():
        pachd.pfs.finish_commit(commit=older)
        assert list((tmp_path / "data" / "objects" / "packs").iterdir()) == packs
    assert leftover_files(tmp_path / "data") == set()
    pieces = pachd.pfs.get_file(file=pfs.File(commit=newer, path="/log"))
    assert b"".join(piece.value for piece in pieces) == 2 * body("/log.2")
    writer.server.stop()


def test_a_collection_and_a_repair_that_fail_remove_the_files_that_they_began(tmp_path: Path) -> None:
    store = tmp_path / "data"
    writer = Writer(tmp_path)
    branch = writer.repo("source")
    kept = writer.commit(branch, ["/kept/0.2"])
    doomed = writer.commit(branch, ["/doomed/0.2", "/doomed/0.3", "/both/1.2"])
    other = writer.repo("other")
    writer.commit(other, ["/both/1.2"])
    writer.client.pfs.drop_commit(commit=doomed)
    failpoints.arm(f"commit.before=errno:{errno.ENOSPC}")
    with pytest.raises(StorageError, match=f"disk of the store {store} is full; free some space"):
        collect(store, grace=0)
    assert leftover_files(store) == set()
    failpoints.arm("")
    assert collect(store, grace=0).packs == 1
    [pack] = [path for path in (store / "objects" / "packs").iterdir() if path.read_bytes() == body("/kept/0.2")]
    pack.write_bytes(b"damage" + body("/kept/0.2")[6:])
    failpoints.arm(f"repair.after_move=errno:{errno.ENOSPC}")
    with pytest.raises(StorageError, match=f"disk of the store {store} is full; free some space"):
        check(store, repair=True)
    assert list((store / "bad").iterdir()) == []
    failpoints.arm("")
    assert [problem.repaired for problem in check(store, repair=True)] == [True]
    assert kept.id
    writer.server.stop()


def test_a_put_refused_on_a_file_system_without_space_leaves_it_as_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "mounted", 8) as mounted:
        with StoreServer(mounted / "data", f"unix:{tmp_path / 's'}"):
            client = Client(host="unix", port=str(tmp_path / "s"))
            branch = pfs.Branch(repo=pfs.Repo(name="source"), name="master")
            client.pfs.create_repo(repo=branch.repo)
            first = pfs.ModifyFileRequest(set_commit=pfs.Commit(repo=branch.repo, branch=branch))
            rng = random.Random(1)
            for count in (68, 70, 90):
                parts = [
                    pfs.ModifyFileRequest(add_file=pfs.AddFile(path=f"/{place}", raw=rng.randbytes(120_000)))
                    for place in range(count)
                ]
                with pytest.raises(grpc.RpcError, match="the disk is full") as caught:
                    client.pfs.modify_file(iter([first, *parts]))
                assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert leftover_files(mounted / "data") == set()
            client.pfs.modify_file(iter([first, *parts[:40]]))
        assert check(mounted / "data") == []


def test_a_full_disk_at_the_first_opening_is_a_storage_error(tmp_path: Path) -> None:
    failpoints.arm(f"schema.before=errno:{errno.ENOSPC}")
    with pytest.raises(PachydermError, match=r"disk of the store .* is full"):
        StoreServer(tmp_path / "data", f"unix:{tmp_path / 's'}")
    failpoints.arm("")
    with StoreServer(tmp_path / "data", f"unix:{tmp_path / 's'}"):
        pass
    assert check(tmp_path / "data") == []


LIMITED = """
import resource, sys
from pathlib import Path
from pachyderm.client.connection import Target, connect
from pachyderm.errors import StorageError
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import set_up
target, limit, begins = Target(store=Path(sys.argv[1])), int(sys.argv[2]), sys.argv[3] == "begins"
if begins:
    with connect(target) as client:
        set_up(client)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    with connect(target) as client:
        for number in range(10_000):
            with client.pfs.commit(branch=client.branch(TRAINING)) as commit:
                for size in (10, 100_000):
                    client.pfs.put_file_from_bytes(commit=commit, path=f"/{size}", data=bytes([number % 256]) * size)
            print(commit.id, flush=True)
except StorageError as error:
    print(error, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("limit", "begins"),
    [(1000, "anew"), (5000, "anew"), (50_000, "anew"), (90_000, "begins"), (400_000, "begins"), (2_000_000, "begins")],
)
def test_a_limit_on_the_size_of_files_is_named_and_keeps_what_was_acknowledged(
    tmp_path: Path, limit: int, begins: str
) -> None:
    folder = tmp_path / "store"
    # The limit holds for what coverage writes, too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", LIMITED, str(folder), str(limit), begins]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert f"may not write files of more than {limit:,} bytes; raise its `ulimit -f`" in done.stderr
    assert done.stderr.count("\n") == 1
    with connect(Target(store=folder)) as client:
        set_up(client)
        for commit in done.stdout.split():
            assert inspect(client, TRAINING.repo, commit).state == "good"
    assert check(folder) == []
    assert list((folder / "objects" / "parts").iterdir()) == []


def test_a_transaction_that_sqlite_has_rolled_back_itself_keeps_its_first_error(tmp_path: Path) -> None:
    with (
        StoreServer(tmp_path / "data", f"unix:{tmp_path / 's'}") as server,
        pytest.raises(ValueError, match="the first error"),
        server._engine.database.writing() as connection,
    ):
        connection.execute("ROLLBACK")
        raise ValueError("the first error")


def test_a_request_in_a_transaction_keeps_its_first_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rolled_back(update: GraphUpdate, requests: object) -> None:
        update.connection.execute("ROLLBACK")
        raise OSError(errno.EFBIG, "File too large")

    with connect(Target(store=tmp_path / "data")) as client:
        set_up(client)
        monkeypatch.setattr(transactions, "_run_all", rolled_back)
        with pytest.raises(grpc.RpcError, match="File too large"), client.transaction.transaction():
            client.pfs.create_repo(repo=client.repo("new"))
