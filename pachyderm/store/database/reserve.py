"""A file that keeps some space for the collection that frees a full disk: SQLite needs space to delete anything."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from pachyderm.store import private_files

logger = logging.getLogger(__name__)

NAME = "store.db-reserve"
SIZE = 1 << 20
"""Bytes; enough for the transaction that deletes the first `gc.FIRST_STEP` rows."""


def keep(folder: Path) -> None:
    """Create the file if it is missing and the disk has the space, with some left."""
    path = folder / NAME
    if path.exists():
        return
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < 2 * SIZE:
        return
    with contextlib.suppress(FileExistsError):  # another process has just created it
        try:
            with private_files.create(path) as file:
                os.posix_fallocate(file.fileno(), 0, SIZE)
        except FileExistsError:
            raise
        except OSError:
            logger.debug("cannot reserve space in %s", folder, exc_info=True)
            path.unlink(missing_ok=True)


def release(folder: Path) -> None:
    """Remove the file, to use its space."""
    (folder / NAME).unlink(missing_ok=True)
