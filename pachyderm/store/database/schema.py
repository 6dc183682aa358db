"""Schema of the store's SQLite file; creation, validation and upgrade of a store's folder."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pachyderm.errors import FullError, PachydermError, ReadOnlyError, StorageError, StoreError
from pachyderm.store import private_files
from pachyderm.store.database import connections, reserve
from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.file_size_limit import explain

APPLICATION = 0x50325058
"""``application_id`` of a store's SQLite file."""
VERSION = 2
"""Format version of the folder, kept in SQLite's ``user_version``."""
DATABASE = "store.db"
RESTORING = "store.db-restoring"
"""File that marks a folder as being restored; locked by the process that does."""
FOREIGN = frozenset({"runs", "scratch"})
"""Subfolders that other packages own; a folder that holds nothing else counts as empty."""

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


def prepare(folder: Path, now: int, cluster: str) -> PachydermError | None:
    """Create a store in the folder, or check and upgrade the one that it holds.

    Args:
        folder: created if missing.
        now: microseconds since 1970.
        cluster: identifier of a new store (32 hex digits).

    Returns:
        the reason why the store can only be read: the disk is full, or the folder cannot be written; None if it can be
        written.

    Raises:
        StoreError: the folder holds something else or has a newer format, or a new store cannot be created in it.
        StorageError: the disk failed, or is full and a new store cannot be created.
    """
    path = folder / DATABASE
    try:
        with translated_errors(folder):
            _make_folder(folder, path)
            with closing(connections.connect(path)) as connection:
                _check_or_create(connection, path, now, cluster)
            reserve.keep(folder)
    except (FullError, ReadOnlyError) as error:
        if not path.exists():
            raise
        with translated_errors(folder), closing(connections.read_only(path)) as connection:
            if _format(connection, path) != VERSION:
                raise
        return error
    return None


def _make_folder(folder: Path, path: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file, not a folder; name a folder for the store")
    if (folder / RESTORING).exists():
        if private_files.is_locked(folder / RESTORING):
            raise StoreError(f"the store {folder} is being restored; wait until that has ended")
        raise StoreError(f"the store {folder} was not restored completely; run `pix2pix store restore` again")
    if not folder.exists():
        failpoint("folder.before_create")
        created = [path for path in (folder, *folder.parents) if not path.exists()]
        private_files.make_folder(folder)
        for parent in created:
            sync_folder(parent.parent)
        failpoint("folder.after_create")
    elif not path.exists():
        unknown = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.name not in FOREIGN and not entry.name.startswith(DATABASE) and entry.name != "objects"
        )
        if unknown:
            raise StoreError(
                f"{folder} is not a store: it has no {DATABASE} but holds {unknown[0]}; "
                "name a store, an empty folder or a new one"
            )
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(private_files.FOLDER_MODE)
    if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
        raise ReadOnlyError(f"the store {folder} is read-only; make it writable or name another one")
    make_pack_folders(folder, begun=path.exists())
    if not path.exists():
        # SQLite gives the files that it creates beside this one the same mode.
        with suppress(FileExistsError):
            private_files.create(path).close()


def make_pack_folders(folder: Path, begun: bool = False) -> None:
    """Create the folders of packs durably: syncing a pack and `packs/` does not cover the names of the folders above.

    Until the database exists (`begun`), an earlier process may have died between creating the folders and syncing them.
    """
    objects = folder / "objects"
    missing = [path for path in (objects, objects / "packs", objects / "parts") if not path.is_dir()]
    for path in missing:
        private_files.make_folder(path)
    if missing or not begun:
        sync_folder(objects)
        sync_folder(folder)


def _check_or_create(connection: sqlite3.Connection, path: Path, now: int, cluster: str) -> None:
    if _format(connection, path) == VERSION:
        return
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _format(connection, path)
        if version == 0:
            _check_unused(path)
            # Before anything is acknowledged; SQLite syncs the names of the files that it creates itself.
            sync_folder(path.parent)
            failpoint("schema.before")
            _run(connection, TABLES)
            connection.execute("INSERT INTO cluster VALUES ('id', ?), ('metadata', '{}')", (cluster,))
            connection.execute("INSERT INTO projects VALUES (NULL, 'default', '', ?, '{}')", (now,))
            connection.execute(f"PRAGMA application_id={APPLICATION}")
        if version < VERSION:
            _run(connection, ADDED_IN_2)
            connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connections.roll_back(connection)
        raise
    failpoint("schema.after")


def _run(connection: sqlite3.Connection, statements: str) -> None:
    """Run statements within the open transaction; `executescript` would commit it."""
    for statement in filter(str.strip, statements.split(";")):
        connection.execute(statement)


def _check_unused(path: Path) -> None:
    """Refuse to create a database next to existing objects: a lost file must not pass for an empty store."""
    if any(entry.is_file() for entry in (path.parent / "objects").rglob("*")):
        raise StoreError(
            f"{path.parent} has lost its {DATABASE}: the file is missing or empty, but objects exist; "
            f"put a copy of {DATABASE} back, or name another folder"
        )


def _format(connection: sqlite3.Connection, path: Path) -> int:
    """Return the format version of the store in the file; 0 for a file without tables.

    Raises:
        StoreError: the file belongs to another program, or its format is newer than `VERSION`.
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application == APPLICATION and 1 <= version <= VERSION:
        return version
    if application == APPLICATION and version > VERSION:
        raise StoreError(
            f"the store {path.parent} has format {version}, but this program supports formats up to {VERSION}; "
            "use a newer pix2pix or another store"
        )
    if application or version or tables:
        raise StoreError(f"{path} is a database of another program; name another folder for the store")
    return 0


def sync_folder(folder: Path) -> None:
    """Make the entries of a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def translated_errors(folder: Path) -> Iterator[None]:
    """Raise failures of the disk and of SQLite as `StoreError` or `StorageError`, with the remedy."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _translated(folder, error) from error


def _translated(folder: Path, error: Exception) -> Exception:
    name = getattr(error, "sqlite_errorname", "") or ""
    number = getattr(error, "errno", None)
    limit = explain(error)
    if limit:
        return StorageError(f"the store {folder} cannot be written: {limit}")
    if number in (errno.ENOSPC, errno.EDQUOT) or name.startswith("SQLITE_FULL"):
        return FullError(f"the disk of the store {folder} is full; free some space and try again")
    if name == "SQLITE_IOERR_SHMSIZE" and not os.statvfs(folder).f_bavail:
        return FullError(f"the disk of the store {folder} is full; free some space and try again")
    if number in (errno.EROFS, errno.EACCES, errno.EPERM) or name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return ReadOnlyError(f"the store {folder} cannot be written ({error}); make it writable or name another one")
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return StoreError(f"{folder / DATABASE} is not a store or is damaged ({error}); name another folder")
    return StorageError(f"the store {folder} failed: {error}")
