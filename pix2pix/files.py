"""Atomic writes, and the report of a full disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from pix2pix.errors import WorkError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A full disk, an exhausted quota, the limit on file sizes."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a temporary file beside `path` and rename it, so that no reader ever sees part of it.

    Args:
        path: the file; missing folders are created.
        content: all of it.

    Raises:
        OSError: the file cannot be written; the message names it, and a file that existed is unchanged.
    """
    partial = partial_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise type(error)(error.errno, f"{path} cannot be written: {error.strerror}") from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def partial_of(path: Path) -> Path:
    """Return the temporary file beside `path` that is written first and renamed once it is complete."""
    # Hidden, so that a listing made meanwhile or after a crash does not take it for a picture; and of a fixed, short
    # length, whatever the length of the name.
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.part")


@contextlib.contextmanager
def reporting_full_disk(what: str) -> Iterator[None]:
    """Raise a full disk, an exhausted quota or the limit on file sizes as a `WorkError` that names `what`."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise WorkError(
            f"no space for {what} ({error.strerror}); free some and start again: it goes on from what was saved"
        ) from error


def is_number(name: str) -> bool:
    """Return whether a name consists of ASCII digits; ``str.isdigit`` is true for ``²``, which `int` refuses."""
    return name.isascii() and name.isdigit()
