"""Files and folders of a store, which only its owner may use, whatever the umask; a file is locked by its writer."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

FOLDER_MODE = 0o700
FILE_MODE = 0o600


def make_folder(folder: Path) -> None:
    """Create a folder and missing parents, of which only the folder itself is private."""
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)


def create(path: Path, buffering: int = -1) -> BinaryIO:
    """Create a file and open it for reading and writing, locked until it is closed or this process ends.

    Raises:
        FileExistsError: the file exists.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            os.fchmod(handle, FILE_MODE)
            with contextlib.suppress(OSError):  # a file system without locks; `abandoned` then knows nothing
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return os.fdopen(handle, "w+b", buffering)
        except BaseException:
            os.close(handle)
            path.unlink(missing_ok=True)
            raise
        os.close(handle)  # removed by a collection before it was locked


def is_locked(path: Path) -> bool:
    """Whether the writer of a file made by `create` still has it open."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def remove_abandoned(path: Path) -> bool:
    """Remove a file made by `create` if its writer has closed it or ended; return whether it was removed."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # locked by its writer, or a file system without locks
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(handle)
