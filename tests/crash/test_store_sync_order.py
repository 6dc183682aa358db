"""Data is durable before the row that names it, and that row before the answer and before anything is removed.

The calls that make something durable are recorded in this process, and as the kernel sees them where strace works.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import TRAINING
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.maintenance.gc import collect

FULL = 2
"""SQLite's number for ``synchronous=FULL``."""


class Record:
    """The calls, in order: sync, rename and unlink of a path, insert and delete in a table, and commit.

    Attributes:
        calls: paths are relative to the store; those of packs end in their folder and suffix.
        unsafe: settings of the connections that committed without being synced.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self.calls: list[str] = []
        self.unsafe: list[str] = []

    def note(self, kind: str, path: object) -> None:
        """Note a call on a file or folder of the store."""
        name = Path(str(path))
        if name.is_relative_to(self._store) or self._store.is_relative_to(name):
            short = name.parent / f"*{name.suffix}" if name.suffix == ".pack" else name
            self.calls.append(f"{kind} {os.path.relpath(short, self._store)}")

    def connection(self) -> type[sqlite3.Connection]:
        """Return a class of connections that note what they write."""
        record = self

        class Recording(sqlite3.Connection):
            def execute(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
                record.statement(statement)
                if statement == "COMMIT":
                    level = super().execute("PRAGMA synchronous").fetchone()[0]
                    mode = super().execute("PRAGMA journal_mode").fetchone()[0]
                    if (level, mode) != (FULL, "wal"):
                        record.unsafe.append(f"synchronous={level}, journal_mode={mode}")
                return super().execute(statement, *arguments)

            def executemany(self, statement: str, *arguments: Any) -> sqlite3.Cursor:
                record.statement(statement)
                return super().executemany(statement, *arguments)

        return Recording

    def statement(self, text: str) -> None:
        """Note a statement that writes."""
        words = text.split()
        if words[0] == "COMMIT":
            self.calls.append("commit")
        elif words[0] in ("INSERT", "DELETE"):
            table = words[words.index("INTO" if words[0] == "INSERT" else "FROM") + 1]
            self.calls.append(f"{words[0].lower()} {table}")

    def in_order(self, *wanted: str) -> None:
        """Check that the calls contain these, in this order."""
        position = 0
        for call in wanted:
            assert call in self.calls[position:], f"{call} is missing after {self.calls[:position]}: {self.calls}"
            position = self.calls.index(call, position) + 1


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Record the calls of this process on the store ``tmp_path/store``."""
    found = Record(tmp_path / "store")

    def of_handle(kind: str, really: Callable[[int], None]) -> Callable[[int], None]:
        def called(handle: int) -> None:
            really(handle)
            found.note(kind, Path(f"/proc/self/fd/{handle}").readlink())

        return called

    def renamed(really: Callable[..., object], self: Path, target: Path) -> object:
        done = really(self, target)
        found.note("rename", target)
        return done

    def removed(really: Callable[..., object], self: Path, missing_ok: bool = False) -> object:
        found.note("unlink", self)
        return really(self, missing_ok)

    really_connect, rename, unlink = sqlite3.connect, Path.rename, Path.unlink
    monkeypatch.setattr(os, "fsync", of_handle("sync", os.fsync))
    monkeypatch.setattr(os, "fdatasync", of_handle("sync", os.fdatasync))
    monkeypatch.setattr(Path, "rename", lambda self, target: renamed(rename, self, target))
    monkeypatch.setattr(Path, "unlink", lambda self, missing_ok=False: removed(unlink, self, missing_ok))
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: really_connect(*a, **{**k, "factory": found.connection()}))
    return found


@pytest.fixture
def client(tmp_path: Path, record: Record) -> Iterator[Connection]:
    with connect(Target(store=tmp_path / "store")) as connection:
        connection.pfs.create_repo(repo=connection.repo(TRAINING.repo))
        yield connection


def put_bytes(client: Connection, folder: Path, name: str, size: int) -> str:
    (folder / name).write_bytes(name.encode() * (size // len(name)))
    commit = put(client, TRAINING, {f"/{name}": folder / name}).commit
    assert commit is not None
    return commit


def test_the_folders_of_a_store_are_durable_before_its_first_commit(record: Record, client: Connection) -> None:
    record.in_order("sync ..", "sync objects", "sync .", "commit")
    assert record.unsafe == []
    assert client


def test_a_pack_is_durable_before_it_is_named_and_named_before_the_answer(
    tmp_path: Path, record: Record, client: Connection
) -> None:
    record.calls.clear()
    put_bytes(client, tmp_path, "large", 300_000)
    record.calls.append("answer")
    record.in_order(
        "sync objects/parts/*.pack",
        "rename objects/packs/*.pack",
        "sync objects/packs",
        "insert packs",
        "insert blocks",
        "commit",
        "answer",
    )
    assert record.calls.count("insert packs") == 1
    assert record.unsafe == []


def test_a_small_write_is_committed_before_the_answer(tmp_path: Path, record: Record, client: Connection) -> None:
    record.calls.clear()
    put_bytes(client, tmp_path, "small", 100)
    record.calls.append("answer")
    record.in_order("insert inlined", "commit", "answer")
    assert record.unsafe == []


def test_a_collection_removes_files_only_after_the_rows_that_named_them(
    tmp_path: Path, record: Record, client: Connection
) -> None:
    for name in ("kept", "doomed"):
        (tmp_path / name).write_bytes(name.encode() * (20_000 if name == "kept" else 200_000))
    both = put(client, TRAINING, {f"/{name}": tmp_path / name for name in ("kept", "doomed")}).commit
    client.pfs.create_repo(repo=client.repo("other"))
    put(client, BranchName("other", "master"), {"/kept": tmp_path / "kept"})
    client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=both or ""))
    record.calls.clear()
    assert collect(tmp_path / "store", grace=0).packs == 1
    record.in_order(
        "sync objects/parts/*.pack",
        "rename objects/packs/*.pack",
        "sync objects/packs",
        "insert packs",
        "delete packs",
        "commit",
        "unlink objects/packs/*.pack",
    )
    assert record.unsafe == []


def test_a_repair_saves_what_it_removes_from_the_tables(tmp_path: Path, record: Record, client: Connection) -> None:
    put_bytes(client, tmp_path, "large", 300_000)
    [pack] = (tmp_path / "store" / "objects" / "packs").iterdir()
    pack.write_bytes(b"damage")
    record.calls.clear()
    check(tmp_path / "store", repair=True)
    saved = next((tmp_path / "store" / "bad").iterdir()).name
    record.in_order("sync .", f"sync bad/{saved}", "sync bad", "delete blocks", "commit")
    assert record.unsafe == []


WRITES = """
import os, sys
from pathlib import Path
from pachyderm.client.connection import Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import TRAINING
large = Path(sys.argv[1]) / "large"
large.write_bytes(b"large" * 60_000)
with connect(Target(store=Path(sys.argv[1]) / "store")) as client:
    client.pfs.create_repo(repo=client.repo(TRAINING.repo))
    os.write(1, b"begins\\n")
    put(client, TRAINING, {"/large": large})
    os.write(1, b"answer\\n")
"""


def test_the_kernel_sees_the_syncs_in_that_order(tmp_path: Path) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed; the tests above record the calls inside the process")
    trace = tmp_path / "trace"
    calls = "trace=fsync,fdatasync,rename,renameat,renameat2,write"
    done = subprocess.run(
        [strace, "-f", "-y", "-s", "16", "-o", str(trace), "-e", calls, sys.executable, "-c", WRITES, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "begins" not in done.stdout:
        pytest.skip(f"strace may not trace here: {done.stderr[-200:]}")
    lines = trace.read_text().partition("begins")[2].partition('"answer')[0].splitlines()
    wanted = [
        ("sync(", "/objects/parts/"),
        ("rename", "/objects/packs/"),
        ("fsync(", "/objects/packs>"),
        ("sync(", "/store.db-wal>"),
    ]
    position = 0
    for call, path in wanted:
        found = [number for number, line in enumerate(lines) if number >= position and call in line and path in line]
        assert found, f"{call} of {path} is missing after line {position}: {lines}"
        position = found[0] + 1
