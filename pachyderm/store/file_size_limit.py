"""Detection of writes that fail at the process's limit on file sizes (``ulimit -f``)."""

from __future__ import annotations

import errno
import resource
import sqlite3

_SQLITE = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_SHMOPEN")
"""SQLite's error names for EFBIG; SQLite does not pass errno on."""


def explain(error: BaseException) -> str:
    """Return the cause and the remedy if a write may have failed at the limit; empty otherwise.

    SQLite reports every failed write with the same codes, so nothing is claimed if the process has no limit.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    failed = (isinstance(error, OSError) and error.errno == errno.EFBIG) or (
        isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") in _SQLITE
    )
    if not failed or limit == resource.RLIM_INFINITY:
        return ""
    return f"{error}: the store's process may not write files of more than {limit:,} bytes; raise its `ulimit -f`"
