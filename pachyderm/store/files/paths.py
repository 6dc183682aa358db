"""Normalization and validation of file paths, as in pachd."""

from __future__ import annotations

import posixpath
import re

from pachyderm.store.status_errors import StatusError, invalid_argument

LONGEST = 4096
"""Maximum number of bytes in a path; pachd has no such limit."""
DEEPEST = 200
"""Maximum number of elements in a path; pachd has no such limit."""

_printable = re.compile(r"[ -~]+\Z")
_special = re.compile(r"[*?\[\]{}!()@+^]")


def clean(path: str) -> str:
    """Normalize a path: a leading slash, no trailing slash, no empty, ``.`` or ``..`` elements; the root is ``/``."""
    if len(path) > LONGEST:
        raise invalid_argument(f"path ({path[:40]}...) invalid: longer than {LONGEST} bytes")
    return "/" + posixpath.normpath("/" + path).strip("/")


def is_directory(path: str) -> bool:
    """Whether a path names a directory by its trailing slash."""
    return path.endswith("/")


def check(path: str) -> None:
    """Check the path of a file to write.

    Raises:
        StatusError: UNKNOWN with pachd's text; INVALID_ARGUMENT beyond `LONGEST` or `DEEPEST`.
    """
    if len(path) > LONGEST:
        raise invalid_argument(f"path ({path[:40]}...) invalid: longer than {LONGEST} bytes")
    if not _printable.match(path):
        raise StatusError(f"path ({path}) invalid: only printable ASCII characters allowed")
    if found := _special.search(path):
        raise StatusError(f"path ({path}) invalid: globbing character ({found.group()}) not allowed in path")
    elements = path.split("/")
    if any(element in (".", "..") for element in elements):
        raise StatusError(f"path ({path}) invalid: relative file paths are not allowed")
    if len(elements) > DEEPEST:
        raise invalid_argument(f"path ({path[:40]}...) invalid: more than {DEEPEST} elements")


def split(path: str) -> list[str]:
    """Return the elements of a clean path; none for the root."""
    return path[1:].split("/") if path != "/" else []
