"""A backup is one consistent state although others write and collect; a restore is whole, or refused clearly."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import pix2pix
from pachyderm_sdk.api import pfs
from small_disk import small_disk
from store_writer import ForkServer, Writer, acknowledged, body, files, kill

from pachyderm.client.connection import Target, connect
from pachyderm.errors import StorageError, StoreError
from pachyderm.store import private_files
from pachyderm.store.database import schema
from pachyderm.store.maintenance.backup import ATTEMPTS, backup, restore
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.maintenance.gc import collect


def silent(done: int, total: int, note: str) -> None:
    """Report nothing."""


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def content(store: Path) -> dict[str, bytes]:
    """Return the files of the branch `source@master`."""
    with connect(Target(store=store)) as client:
        head = client.pfs.inspect_branch(branch=pfs.Branch(repo=pfs.Repo(name="source"), name="master")).head
        nodes = client.pfs.walk_file(file=pfs.File(commit=head, path="/"))
        paths = [node.file.path for node in nodes if node.file_type == pfs.FileType.FILE]
        return {
            path: b"".join(piece.value for piece in client.pfs.get_file(file=pfs.File(commit=head, path=path)))
            for path in paths
        }


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with packs, a commit that was dropped, and bytes inside SQLite."""
    writer = Writer(tmp_path)
    branch = writer.repo("source")
    writer.commit(branch, files("first", 0, 1, 2, 3))
    doomed = writer.commit(branch, files("doomed", 2, 2))
    writer.client.pfs.drop_commit(commit=doomed)
    writer.commit(branch, files("last", 2, 0))
    writer.server.stop()
    return tmp_path / "data"


def test_a_restored_store_has_every_file_and_works(tmp_path: Path, store: Path) -> None:
    made = backup(store, tmp_path / "backup.tar", silent)
    assert (tmp_path / "backup.tar").stat().st_mode & 0o777 == private_files.FILE_MODE
    restored, problems = restore(tmp_path / "backup.tar", tmp_path / "other" / "data", silent)
    assert restored == made
    assert problems == []
    assert content(tmp_path / "other" / "data") == content(store)
    writer = Writer(tmp_path / "other")
    writer.commit(writer.repo("source"), files("more", 2))
    writer.server.stop()
    assert check(tmp_path / "other" / "data") == []
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} == set()


def restored_under_load(fork_server: ForkServer, folder: Path, rounds: int) -> None:
    """Back up again and again while a process writes, and another one drops commits and collects."""
    fork_server.begin(folder, "endless", 0, 1)
    assert fork_server.end() == 0
    ended = threading.Event()

    def disturb() -> None:
        with connect(Target(store=folder / "data")) as client:
            client.pfs.create_repo(repo=pfs.Repo(name="doomed"))
            branch = pfs.Branch(repo=pfs.Repo(name="doomed"), name="master")
            while not ended.is_set():
                with client.pfs.commit(branch=branch) as commit:
                    client.pfs.put_file_from_bytes(commit=commit, path="/a", data=commit.id.encode() * 10_000)
                client.pfs.drop_commit(commit=commit)
                collect(folder / "data", grace=0)

    disturbance = threading.Thread(target=disturb)
    child = fork_server.begin(folder, "endless", 1)
    disturbance.start()
    try:
        for number in range(rounds):
            before = [path for note in acknowledged(folder) for path in note["paths"]]
            backup(folder / "data", folder / f"{number}.tar", silent)
            _, problems = restore(folder / f"{number}.tar", folder / f"restored{number}", silent)
            assert problems == []
            found = content(folder / f"restored{number}")
            assert found.keys() >= set(before)
            assert all(found[path] == body(path) for path in found)
    finally:
        ended.set()
        disturbance.join()
        kill(child)
        fork_server.end()
    assert check(folder / "data") == []


def test_a_backup_of_a_store_in_use_is_one_consistent_state(fork_server: ForkServer, tmp_path: Path) -> None:
    restored_under_load(fork_server, tmp_path / "used", rounds=2)


def test_a_backup_is_made_although_each_snapshot_is_collected_from_while_it_is_copied(
    tmp_path: Path, store: Path
) -> None:
    with connect(Target(store=store)) as client:
        client.pfs.create_repo(repo=pfs.Repo(name="doomed"))
    branch = pfs.Branch(repo=pfs.Repo(name="doomed"), name="master")
    collections: list[threading.Thread] = []

    def doom() -> pfs.Commit:
        with connect(Target(store=store)) as client, client.pfs.commit(branch=branch) as commit:
            client.pfs.put_file_from_bytes(commit=commit, path="/a", data=commit.id.encode() * 10_000)
        return commit

    doomed = [doom()]

    def collect_and_doom() -> None:
        with connect(Target(store=store)) as client:
            client.pfs.drop_commit(commit=doomed[-1])
        collect(store, grace=0)
        doomed.append(doom())

    def disturb(done: int, total: int, note: str) -> None:
        if done == 0:
            collections.append(threading.Thread(target=collect_and_doom))
            collections[-1].start()
            collections[-1].join(1 if len(collections) == ATTEMPTS else None)

    backup(store, tmp_path / "backup.tar", disturb)
    for collection in collections:
        collection.join()
    assert (len(collections), len(doomed)) == (ATTEMPTS, ATTEMPTS + 1), "each but the last was collected from"
    assert restore(tmp_path / "backup.tar", tmp_path / "other", silent)[1] == []
    assert content(tmp_path / "other") == content(store)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_fifty_backups_of_a_store_in_use_are_consistent_states(
    fork_server: ForkServer, tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    restored_under_load(fork_server, tmp_path / "used", rounds=volume(50, 5))


def test_a_store_that_is_being_restored_is_refused_clearly(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup(store, tmp_path / "backup.tar", silent)
    target = tmp_path / "target"
    seen = []

    def meanwhile(done: int, total: int, note: str) -> None:
        if not seen:
            seen.append(pix2pix(capsys, "--store", target, "status"))
            with pytest.raises(StoreError, match="is being restored by another process; wait"):
                restore(tmp_path / "backup.tar", target, silent)
        assert (done, total) <= (total, total), note

    restore(tmp_path / "backup.tar", target, meanwhile)
    assert seen[0].code == 2
    assert "is being restored; wait until that has ended" in seen[0].err
    assert len(seen[0].err.splitlines()) == 1
    assert content(target) == content(store)


def test_an_interrupted_restore_leaves_no_store_and_is_begun_again(tmp_path: Path, store: Path) -> None:
    backup(store, tmp_path / "backup.tar", silent)
    target = tmp_path / "target"

    def killed(done: int, total: int, note: str) -> None:
        if done == 1:
            raise KeyboardInterrupt((total, note))

    with pytest.raises(KeyboardInterrupt):
        restore(tmp_path / "backup.tar", target, killed)
    with pytest.raises(StoreError, match="was not restored completely; run `pix2pix store restore` again"):
        check(target)
    restore(tmp_path / "backup.tar", target, silent)
    assert content(target) == content(store)


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def manifest(**changes: object) -> tuple[str, bytes]:
    return "backup.json", json.dumps({"format": schema.VERSION, "commits": 0, "packs": 0} | changes).encode()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("text", "is not a whole backup"),
        ("missing", "cannot be read: No such file"),
        ("folder", "cannot be read: Is a directory"),
        ("other archive", "is not a backup of a store"),
        ("newer", "newer than this program's"),
        ("escape", "which does not belong in a backup"),
        ("link", "which does not belong in a backup"),
        ("truncated", "is not a whole backup"),
        ("without packs", "it has 0 of 7 packs"),
        ("without tables", "is not a whole backup"),
    ],
)
def test_what_is_not_a_whole_backup_is_refused_and_leaves_no_store(
    tmp_path: Path, store: Path, kind: str, said: str
) -> None:
    file = tmp_path / "file"
    if kind == "text":
        file.write_text("no archive " * 1000)
    elif kind == "folder":
        file.mkdir()
    elif kind == "other archive":
        archive(file, ("README", b"x"))
    elif kind == "newer":
        archive(file, manifest(format=schema.VERSION + 1))
    elif kind == "escape":
        archive(file, manifest(), ("packs/../../../escaped", b"x"))
    elif kind == "link":
        with tarfile.open(archive(file, manifest()), "a") as tar:
            member = tarfile.TarInfo("packs/" + "0" * 32 + ".pack")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
    elif kind == "truncated":
        backup(store, file, silent)
        file.write_bytes(file.read_bytes()[:-700_000])
    elif kind == "without packs":
        archive(file, manifest(packs=7), ("store.db", b""))
    elif kind == "without tables":
        archive(file, manifest())
    with pytest.raises(StoreError, match=said):
        restore(file, tmp_path / "target", silent)
    assert not (tmp_path / "escaped").exists()
    assert not (tmp_path / "target" / "store.db").exists() or (tmp_path / "target" / schema.RESTORING).exists()


def test_nothing_is_overwritten_and_a_missing_store_is_not_created(tmp_path: Path, store: Path) -> None:
    backup(store, tmp_path / "backup.tar", silent)
    with pytest.raises(StoreError, match="exists; name a new file"):
        backup(store, tmp_path / "backup.tar", silent)
    with pytest.raises(StoreError, match="is not empty; restore into a new folder"):
        restore(tmp_path / "backup.tar", store, silent)
    with pytest.raises(StoreError, match="no store found in"):
        backup(tmp_path / "missing", tmp_path / "other.tar", silent)
    assert not (tmp_path / "missing").exists()
    assert content(store)


def test_a_backup_or_restore_on_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path, store: Path) -> None:
    backup(store, tmp_path / "backup.tar", silent)
    with small_disk(tmp_path / "disk", 1) as disk:
        with pytest.raises(StorageError, match=r"is full; free some space"):
            backup(store, disk / "backup.tar", silent)
        assert list(disk.iterdir()) == []
        with pytest.raises(StorageError, match=r"is full; free some space"):
            restore(tmp_path / "backup.tar", disk / "store", silent)
        with pytest.raises(StoreError, match="was not restored completely"):
            check(disk / "store")


def test_the_commands_report_what_was_backed_up_and_restored(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, target = tmp_path / "backup.tar", tmp_path / "target"
    made = pix2pix(capsys, "--store", store, "store", "backup", file, "--json").document
    assert made == {"file": str(file), "commits": 3, "packs": 3, "bytes": file.stat().st_size}
    restored = pix2pix(capsys, "--store", target, "store", "restore", file, "--json").document
    assert restored == {"store": str(target), "commits": 3, "packs": 3, "bytes": made["bytes"], "problems": []}
    again = pix2pix(capsys, "--store", target, "store", "restore", file)
    assert (again.code, len(again.err.splitlines())) == (2, 1)
