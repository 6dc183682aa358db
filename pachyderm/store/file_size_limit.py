"""Recognizes the failure of a write at the process's limit on the size of a file (``ulimit -f``)."""

from __future__ import annotations

import errno
import resource
import sqlite3

_SQLITE = ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_TRUNCATE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_SHMOPEN")
"""What SQLite makes of EFBIG; it does not pass the number on."""


def explained(error: BaseException) -> str:
    """What happened and what helps, if a write may have failed at the limit; empty otherwise.

    SQLite has one code for every write that fails, so without a limit nothing is claimed.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    failed = (isinstance(error, OSError) and error.errno == errno.EFBIG) or (
        isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorname", "") in _SQLITE
    )
    if not failed or limit == resource.RLIM_INFINITY:
        return ""
    return f"{error}: the store's process may not write files of more than {limit:,} bytes; raise its `ulimit -f`"
