"""Connections to the store's SQLite file: with every commit synced, or for reading where nothing can be written."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from urllib.parse import quote

logger = logging.getLogger(__name__)


class WeaklyReferable(sqlite3.Connection):
    """A connection to which weak references can be made, which the built-in class does not allow."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file with the settings that durability depends on: every commit is synced."""
    connection = sqlite3.connect(
        path, timeout=60.0, isolation_level=None, check_same_thread=False, factory=WeaklyReferable
    )
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA cache_size=-8192")
    except BaseException:
        connection.close()
        raise
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """Open the file where SQLite can create no file beside it: on a full disk or in a folder that cannot be written.

    Without a write-ahead log, the file is opened as one that nobody changes, since SQLite would otherwise need to
    create its index; see `signature`.
    """
    logged = Path(f"{path}-wal")
    mode = "mode=ro" if logged.exists() and logged.stat().st_size else "immutable=1"
    name = f"file:{quote(str(path.absolute()))}?{mode}"
    connection = sqlite3.connect(
        name, timeout=60.0, isolation_level=None, check_same_thread=False, factory=WeaklyReferable, uri=True
    )
    connection.execute("PRAGMA cache_size=-8192")
    return connection


def signature(path: Path) -> tuple[object, ...]:
    """Return a value that changes when what `read_only` opened has become outdated."""
    try:
        logged = Path(f"{path}-wal").stat().st_size > 0
    except FileNotFoundError:
        logged = False
    about = path.stat()
    return logged, about.st_ino, about.st_size, about.st_mtime_ns


def roll_back(connection: sqlite3.Connection) -> None:
    """Roll back a failed transaction; log a failure to do so, which must not mask the original error.

    After some errors (full disk, failed write) SQLite has already rolled back and refuses a second ROLLBACK.
    """
    if not connection.in_transaction:
        return
    try:
        connection.execute("ROLLBACK")
    except sqlite3.Error:
        logger.warning("cannot roll back a transaction", exc_info=True)
