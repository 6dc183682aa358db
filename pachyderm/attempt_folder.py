"""The folder of an attempt's files, which is removed with the attempt, or by the next one after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "attempt-"
"""Beginning of the name of each attempt's folder."""


@contextmanager
def attempt_folder(scratch: Path, name: str) -> Iterator[Path]:
    """Make an empty folder for an attempt, and remove those of attempts whose process has ended.

    A folder in use is locked, and the lock ends with the process. On a file system without locks, nothing of another
    attempt is removed.

    Args:
        scratch: parent of the folders.
        name: part of the folder's name, for people.
    """
    with _locked(scratch):
        for path in scratch.glob(f"{PREFIX}*"):
            _remove_abandoned(path)
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-", dir=scratch))
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        _lock(handle, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode)
    except OSError:  # another process has the lock, or the file system has none
        return False
    return True


def _remove_abandoned(folder: Path) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if _lock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)
