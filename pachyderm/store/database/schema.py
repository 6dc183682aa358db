"""The tables of the store's SQLite file, and what makes a folder a store of this version."""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from pathlib import Path

from pachyderm.errors import StorageError, StoreError
from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.file_size_limit import explained

logger = logging.getLogger(__name__)

APPLICATION = 0x50325058
"""SQLite ``application_id`` of a store."""
VERSION = 2
"""Format version of the folder, SQLite's ``user_version``."""
DATABASE = "store.db"
GUESTS = frozenset({"runs", "scratch"})
"""Subfolders that belong to others; a folder that holds nothing else counts as empty."""

TABLES = """
CREATE TABLE cluster (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE projects (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
  created INTEGER NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE repos (
  id INTEGER PRIMARY KEY AUTOINCREMENT, project INTEGER NOT NULL REFERENCES projects(id), name TEXT NOT NULL,
  type TEXT NOT NULL, description TEXT NOT NULL, created INTEGER NOT NULL, metadata TEXT NOT NULL,
  UNIQUE (project, name, type));
CREATE TABLE commits (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL REFERENCES repos(id), "set" TEXT NOT NULL,
  branch TEXT NOT NULL, origin INTEGER NOT NULL, description TEXT NOT NULL,
  parent INTEGER REFERENCES commits(id), started INTEGER NOT NULL, finishing INTEGER, finished INTEGER,
  error TEXT NOT NULL, size INTEGER NOT NULL, metadata TEXT NOT NULL, updated INTEGER NOT NULL,
  tree BLOB, applied INTEGER NOT NULL, fault TEXT NOT NULL,
  UNIQUE (repo, "set"));
CREATE INDEX commits_set ON commits ("set");
CREATE INDEX commits_parent ON commits (parent);
CREATE TABLE commit_provenance (
  downstream INTEGER NOT NULL REFERENCES commits(id), upstream INTEGER NOT NULL REFERENCES commits(id),
  PRIMARY KEY (downstream, upstream)) WITHOUT ROWID;
CREATE INDEX commit_subvenance ON commit_provenance (upstream);
CREATE TABLE branches (
  id INTEGER PRIMARY KEY AUTOINCREMENT, repo INTEGER NOT NULL REFERENCES repos(id), name TEXT NOT NULL,
  head INTEGER NOT NULL REFERENCES commits(id), created INTEGER NOT NULL, updated INTEGER NOT NULL,
  metadata TEXT NOT NULL, UNIQUE (repo, name));
CREATE INDEX branches_head ON branches (head);
CREATE TABLE branch_provenance (
  downstream INTEGER NOT NULL REFERENCES branches(id), upstream INTEGER NOT NULL REFERENCES branches(id),
  never INTEGER NOT NULL, PRIMARY KEY (downstream, upstream)) WITHOUT ROWID;
CREATE INDEX branch_subvenance ON branch_provenance (upstream);
CREATE TABLE layers (
  "commit" INTEGER NOT NULL REFERENCES commits(id), number INTEGER NOT NULL, fileset TEXT NOT NULL,
  PRIMARY KEY ("commit", number)) WITHOUT ROWID;
CREATE INDEX layers_fileset ON layers (fileset);
CREATE TABLE filesets (id TEXT PRIMARY KEY, expires INTEGER NOT NULL, tree BLOB, applied INTEGER NOT NULL);
CREATE TABLE fileset_parts (
  fileset TEXT NOT NULL REFERENCES filesets(id), number INTEGER NOT NULL, changes BLOB, tree BLOB,
  PRIMARY KEY (fileset, number)) WITHOUT ROWID;
CREATE TABLE pages (id BLOB PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE packs (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
  created INTEGER NOT NULL);
CREATE TABLE blocks (id BLOB PRIMARY KEY, pack INTEGER NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL)
  WITHOUT ROWID;
CREATE INDEX blocks_pack ON blocks (pack);
CREATE TABLE inlined (id BLOB PRIMARY KEY, created INTEGER NOT NULL, data BLOB NOT NULL);
CREATE TABLE lists (id BLOB PRIMARY KEY, created INTEGER NOT NULL, blocks BLOB NOT NULL);
CREATE TABLE transactions (id TEXT PRIMARY KEY, started INTEGER NOT NULL, version INTEGER NOT NULL,
  requests BLOB NOT NULL, responses BLOB NOT NULL);
"""

ADDED_IN_2 = """
CREATE TABLE triggers (
  branch INTEGER PRIMARY KEY REFERENCES branches(id), watched INTEGER NOT NULL REFERENCES branches(id),
  "all" INTEGER NOT NULL, rate_limit TEXT NOT NULL, size TEXT NOT NULL, commits INTEGER NOT NULL,
  cron TEXT NOT NULL, ticked INTEGER NOT NULL);
CREATE INDEX triggers_watched ON triggers (watched);
CREATE TABLE project_defaults (project INTEGER PRIMARY KEY REFERENCES projects(id), defaults TEXT NOT NULL,
  created INTEGER NOT NULL);
"""


def prepare(folder: Path, now: int, cluster: str) -> None:
    """Make the folder a store, or check that it is one.

    Args:
        folder: created where it is missing.
        now: microseconds since 1970.
        cluster: identifier for a new store (32 hex digits).

    Raises:
        StoreError: the folder holds something else, is of another version, or cannot be written.
        StorageError: the disk is full or failed.
    """
    path = folder / DATABASE
    try:
        _make_folder(folder, path)
        connection = connect(path)
        try:
            _check_or_create(connection, path, now, cluster)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise _trouble(folder, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open the file with the settings that durability rests on: write-ahead log, sync at every commit."""
    connection = sqlite3.connect(path, timeout=60.0, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA cache_size=-8192")
    return connection


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction that failed, without an error of its own, which would hide why it failed.

    SQLite has rolled back by itself after some errors (a full disk, a failed write), and then refuses to do so again.
    """
    if not connection.in_transaction:
        return
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error:
        logger.warning("a transaction was not rolled back", exc_info=True)


def _make_folder(folder: Path, path: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file, not a folder; name a folder for the store")
    if not folder.exists():
        failpoint("folder.before_create")
        folder.mkdir(parents=True, exist_ok=True)
        failpoint("folder.after_create")
    elif not path.exists():
        strangers = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.name not in GUESTS and not entry.name.startswith(DATABASE) and entry.name != "objects"
        )
        if strangers:
            raise StoreError(
                f"{folder} is not a store: it has no {DATABASE} but holds {strangers[0]}; "
                "name a store, an empty folder or a new one"
            )
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise StoreError(f"the store {folder} is read-only; make it writable or name another one")
    for name in ("packs", "parts"):
        (folder / "objects" / name).mkdir(parents=True, exist_ok=True)


def _check_or_create(connection: sqlite3.Connection, path: Path, now: int, cluster: str) -> None:
    if _format(connection, path) == VERSION:
        return
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _format(connection, path)
        if found == 0:
            _check_unused(path)
            failpoint("schema.before")
            _run(connection, TABLES)
            connection.execute("INSERT INTO cluster VALUES ('id', ?), ('metadata', '{}')", (cluster,))
            connection.execute("INSERT INTO projects VALUES (NULL, 'default', '', ?, '{}')", (now,))
            connection.execute(f"PRAGMA application_id={APPLICATION}")
        if found < VERSION:
            _run(connection, ADDED_IN_2)
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise
    failpoint("schema.after")
    sync_folder(path.parent)


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Run statements within the transaction, which `executescript` would commit."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


def _check_unused(path: Path) -> None:
    """Refuse to begin anew over what an earlier database named: a lost file must not pass for an empty store."""
    if any(entry.is_file() for entry in (path.parent / "objects").rglob("*")):
        raise StoreError(
            f"{path.parent} has lost its {DATABASE}, which is missing or empty while objects are there; "
            f"put a copy of {DATABASE} back, or name another folder"
        )


def _format(connection: sqlite3.Connection, path: Path) -> int:
    """Format version of the store in the file; 0 for a file without tables.

    Raises:
        StoreError: the file belongs to another program or to a newer version of this one.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION and 1 <= version <= VERSION:
        return version
    if application == APPLICATION and version > VERSION:
        raise StoreError(
            f"the store {path.parent} has format {version}, this program knows up to {VERSION}; "
            "use a newer pix2pix or another store"
        )
    if application or version or tables:
        raise StoreError(f"{path} is a database of another program; name another folder for the store")
    return 0


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _trouble(folder: Path, error: Exception) -> Exception:
    name = getattr(error, "sqlite_errorname", "") or ""
    number = getattr(error, "errno", None)
    limit = explained(error)
    if limit:
        return StorageError(f"the store {folder} cannot be written: {limit}")
    if number in (errno.ENOSPC, errno.EDQUOT) or name.startswith("SQLITE_FULL"):
        return StorageError(f"the disk of the store {folder} is full; free some space and try again")
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return StoreError(f"the store {folder} cannot be written ({error}); make it writable or name another one")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StoreError(f"{folder / DATABASE} is not a store or is damaged ({error}); name another folder")
    return StorageError(f"the store {folder} cannot be opened: {error}")
