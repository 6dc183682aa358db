"""Paths of files in a commit: how pachd cleans them and which it refuses.

It exists because a path that one server takes and the other refuses would tie data to one of them.
"""

from __future__ import annotations

import posixpath
import re

from pachyderm.store.refusals import Refusal, invalid

LONGEST = 4096
"""Bytes in a path; pachd has no such limit."""
DEEPEST = 200
"""Elements in a path; pachd has no such limit."""

_printable = re.compile(r"[ -~]+\Z")
_special = re.compile(r"[*?\[\]{}!()@+^]")


def clean(path: str) -> str:
    """Bring a path to its one form: a leading slash, no trailing one, no empty or dot elements; the root is ``/``."""
    if len(path) > LONGEST:
        raise invalid(f"path ({path[:40]}...) invalid: longer than {LONGEST} bytes")
    return "/" + posixpath.normpath("/" + path).strip("/")


def is_folder(path: str) -> bool:
    """Whether a path names a directory by ending with a slash."""
    return path.endswith("/")


def check(path: str) -> None:
    """Refuse what pachd refuses in the name of a file.

    Raises:
        Refusal: UNKNOWN with pachd's text; INVALID_ARGUMENT beyond `LONGEST`.
    """
    if len(path) > LONGEST:
        raise invalid(f"path ({path[:40]}...) invalid: longer than {LONGEST} bytes")
    if not _printable.match(path):
        raise Refusal(f"path ({path}) invalid: only printable ASCII characters allowed")
    if found := _special.search(path):
        raise Refusal(f"path ({path}) invalid: globbing character ({found.group()}) not allowed in path")
    elements = path.split("/")
    if any(element in (".", "..") for element in elements):
        raise Refusal(f"path ({path}) invalid: relative file paths are not allowed")
    if len(elements) > DEEPEST:
        raise invalid(f"path ({path[:40]}...) invalid: more than {DEEPEST} elements")


def split(path: str) -> list[str]:
    """Elements of a clean path; none for the root."""
    return path[1:].split("/") if path != "/" else []
