"""What the embedded store promises about its folder: which files it shares it with, who opens it, what is refused."""

import os
import sqlite3
import threading
import time
from pathlib import Path

import grpc
import pytest
from embedded_store import packs, store
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from server_under_test import refused, soon

from pachyderm.errors import StoreError
from pachyderm.store.database import connections, schema
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.maintenance.gc import collect
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.server import StoreServer

pytestmark = pytest.mark.embedded


def serve(folder: Path) -> None:
    with StoreServer(folder, f"unix:{folder.parent / 'socket'}"):
        pass


@pytest.mark.parametrize("missing", [True, False])
def test_an_empty_or_missing_folder_becomes_a_store(tmp_path: Path, missing: bool) -> None:
    folder = tmp_path / "a" / "b"
    if not missing:
        folder.mkdir(parents=True)
    serve(folder)
    assert check(folder) == []


def test_the_folders_of_a_new_store_are_durable_before_its_database_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack is durable only together with the names of the folders that lead to it."""
    synced: list[Path] = []
    sync_folder = schema.sync_folder
    connect = connections.connect
    folder = tmp_path / "a" / "data"

    def record(path: Path) -> None:
        assert path == folder or not (folder / schema.DATABASE).exists()
        synced.append(path)
        sync_folder(path)

    def connecting(path: Path) -> sqlite3.Connection:
        assert {tmp_path, tmp_path / "a", folder, folder / "objects"} <= set(synced)
        return connect(path)

    monkeypatch.setattr(schema, "sync_folder", record)
    monkeypatch.setattr(connections, "connect", connecting)
    serve(folder)


def test_the_subfolders_of_others_are_left_alone(tmp_path: Path) -> None:
    for name in ("runs", "scratch"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "note").write_text("mine")
    serve(tmp_path / "data")
    assert (tmp_path / "data" / "runs" / "note").read_text() == "mine"


def test_a_folder_that_holds_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "holiday.png").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"is not a store.*holiday\.png"):
        serve(tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["holiday.png"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"x")
    with pytest.raises(StoreError, match="is a file"):
        serve(tmp_path / "data")


def test_a_folder_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    serve(tmp_path / "data")
    connection = sqlite3.connect(tmp_path / "data" / schema.DATABASE)
    connection.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    connection.close()
    with pytest.raises(StoreError, match=f"has format {schema.VERSION + 1}.*newer"):
        serve(tmp_path / "data")


def test_the_database_of_another_program_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    connection = sqlite3.connect(tmp_path / "data" / schema.DATABASE)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / "data" / schema.DATABASE).read_bytes()
    with pytest.raises(StoreError, match="another program"):
        serve(tmp_path / "data")
    assert (tmp_path / "data" / schema.DATABASE).read_bytes() == before


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / schema.DATABASE).write_bytes(b"not a database, but long enough to be read as one" * 50)
    with pytest.raises(StoreError, match="not a store or is damaged"):
        serve(tmp_path / "data")


@pytest.mark.parametrize("emptied", [True, False])
def test_a_store_that_lost_its_database_is_not_recreated_empty(tmp_path: Path, emptied: bool) -> None:
    with StoreServer(tmp_path / "data", f"unix:{tmp_path / 'socket'}"):
        client = Client(host="unix", port=str(tmp_path / "socket"))
        repo = pfs.Repo(name="source")
        client.pfs.create_repo(repo=repo)
        with client.pfs.commit(branch=pfs.Branch(repo=repo, name="master")) as commit:
            client.pfs.put_file_from_bytes(commit=commit, path="/large", data=bytes(range(256)) * 40_000)
    for file in (tmp_path / "data").glob(f"{schema.DATABASE}*"):
        file.unlink()
    if emptied:
        (tmp_path / "data" / schema.DATABASE).touch()
    for _ in range(2):
        with pytest.raises(StoreError, match=r"has lost its store\.db"):
            serve(tmp_path / "data")


def test_a_read_only_folder_is_read_and_a_write_to_it_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with store(tmp_path) as pachd:
        commit = pachd.write(pachd.branch(pachd.repo()), {"/small": b"1", "/large": b"2" * 3_000_000})
    monkeypatch.setattr(schema.os, "access", lambda *_: False)
    with store(tmp_path) as pachd:
        assert pachd.files(commit) == {"/small": b"1", "/large": b"2" * 3_000_000}
        with refused("is read-only; make it writable", grpc.StatusCode.FAILED_PRECONDITION):
            pachd.repo("more")
    assert check(tmp_path / "data") == []
    with pytest.raises(StoreError, match="is read-only; make it writable"):
        check(tmp_path / "data", repair=True)
    with pytest.raises(StoreError, match="is read-only; make it writable"):
        collect(tmp_path / "data", grace=0)
    with pytest.raises(StoreError, match="is read-only; make it writable"):
        serve(tmp_path / "new")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777], ids=oct)
@pytest.mark.parametrize("existing", [False, True])
def test_only_the_owner_can_use_a_store_whatever_the_umask(tmp_path: Path, mask: int, existing: bool) -> None:
    folder = tmp_path / "data"
    if existing:
        folder.mkdir(mode=0o755)
    before = os.umask(mask)
    try:
        with store(tmp_path) as pachd:
            branch = pachd.branch(pachd.repo())
            pachd.write(branch, {"/small": b"1", "/large": b"2" * 3_000_000})
            doomed = pachd.write(branch, {"/large": b"3" * 100_000, "/small": b"1" * 60_000})
            files = {path: mode(path) for path in folder.rglob("*") if path.is_file()}
            pachd.client.pfs.drop_commit(commit=doomed)
            for pack in packs(tmp_path):
                pack.write_bytes(b"damage")
            check(folder, repair=True)
            collect(folder, grace=0)
            files |= {path: mode(path) for path in folder.rglob("*") if path.is_file()}
    finally:
        os.umask(before)
    assert {path.suffix for path in files} >= {".pack", ".db", ".db-wal", ".db-shm"}
    assert len(list((folder / "bad").iterdir())) > 1
    assert set(files.values()) == {0o600}
    assert {mode(path) for path in (folder, *folder.rglob("*")) if path.is_dir()} == {0o700}


def test_an_address_in_use_is_refused(tmp_path: Path) -> None:
    with StoreServer(tmp_path / "data", "127.0.0.1:0") as first:
        address = first.address
        with pytest.raises(StoreError, match="cannot listen"):
            StoreServer(tmp_path / "data", address).start()


def test_several_servers_of_one_folder_see_each_others_commits(tmp_path: Path) -> None:
    with store(tmp_path, "one") as left, store(tmp_path, "two") as right:
        branch = left.branch(left.repo())
        commit = left.write(branch, {"/a": b"from one"})
        assert right.read(commit, "/a") == b"from one"
        second = right.write(branch, {"/b": b"from two"})
        assert left.files(second) == {"/a": b"from one", "/b": b"from two"}


def test_what_was_written_is_read_after_the_folder_is_opened_again(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        commit = pachd.write(pachd.branch(pachd.repo()), {"/small": b"1", "/large": b"2" * 3_000_000})
    with store(tmp_path) as pachd:
        assert pachd.files(commit) == {"/small": b"1", "/large": b"2" * 3_000_000}


def test_a_server_stops_at_once_although_clients_wait_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    server = StoreServer(tmp_path / "data", f"unix:{tmp_path / 's'}")
    server.start()
    client = Client(host="unix", port=str(tmp_path / "s"))
    repo = pfs.Repo(name="waited-for")
    client.pfs.create_repo(repo=repo)
    commit = client.pfs.start_commit(branch=pfs.Branch(repo=repo, name="master"))
    stream = client.pfs.subscribe_commit(repo=repo)
    next(stream)
    ends = [
        soon(lambda: list(stream)),
        soon(lambda: client.pfs.inspect_commit(commit=commit, wait=pfs.CommitState.FINISHED)),
        soon(lambda: list(client.pfs.inspect_commit_set(commit_set=pfs.CommitSet(id=commit.id), wait=True))),
    ]
    while server.busy() < len(ends):
        threading.Event().wait(0.01)
    begin = time.monotonic()
    server.stop()
    assert time.monotonic() - begin < 0.5
    for end in ends:
        assert end.exception(10) is not None
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("store")]


def test_a_store_of_format_1_keeps_its_data_and_accepts_triggers(tmp_path: Path) -> None:
    with store(tmp_path) as pachd:
        staging = pachd.branch(pachd.repo(), "staging")
        commit = pachd.write(staging, {"/a": b"1"})
    database = sqlite3.connect(tmp_path / "data" / schema.DATABASE)
    database.executescript("DROP TABLE triggers; DROP TABLE project_defaults; PRAGMA user_version=1;")
    database.close()
    with store(tmp_path, "again") as pachd:
        assert pachd.files(commit) == {"/a": b"1"}
        master = pfs.Branch(repo=staging.repo, name="master")
        pachd.client.pfs.create_branch(branch=master, trigger=pfs.Trigger(branch="staging", commits=1))
        assert pachd.write(staging, {"/a": b"2"}).id == pachd.head(master).id
    assert check(tmp_path / "data") == []


def test_a_store_that_is_closed_while_a_thread_reads_ends_the_request_and_not_the_process(tmp_path: Path) -> None:
    engine = Engine.open(tmp_path)
    database = engine.database
    reading, go_on = threading.Event(), threading.Event()
    rows: list[object] = []

    def read() -> None:
        with database.reading() as connection:
            reading.set()
            go_on.wait(60)
            rows.append(connection.execute("SELECT count(*) FROM repos").fetchone())

    thread = threading.Thread(target=read)
    thread.start()
    assert reading.wait(60)
    closing = threading.Thread(target=database.close)
    closing.start()
    assert database.stopping.wait(60) and closing.is_alive(), "the close waits for the reader"
    go_on.set()
    thread.join()
    closing.join()
    assert rows == [(0,)]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"), database.reading():
        pass
