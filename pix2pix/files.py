"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it there, so that a reader never sees part of it.

    Args:
        path: of the file; missing folders are made.
        content: all of it.

    Raises:
        OSError: it could not be written; the message names the file. What was there before is unchanged.
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
    """The file beside `path` that is written first and renamed once it is complete."""
    # Hidden, so that a listing made meanwhile, or after a crash, does not take it for a picture; and short, whatever
    # the length of the name.
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.part")
