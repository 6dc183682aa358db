"""Reversible encoding of local file names as names that Pachyderm accepts.

pachd accepts only printable ASCII without ``* ? [ ] { } ! ( ) @ + ^`` (`paths.go` of Pachyderm 2.12), and pictures are
commonly named ``photo (1).jpg``. Names are percent-encoded; ``%`` is encoded too, so decoding is exact.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections import Counter, defaultdict
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

_ENCODED = frozenset(b"*?[]{}!()@+^%\\")
_LONGEST_NAME = 255
"""Bytes in the name of a file or folder, Linux."""
_LONGEST_PATH = 4095
"""Bytes in a path, Linux."""


def encode(path: str) -> str:
    """Percent-encode the bytes of a relative local path that Pachyderm refuses."""
    return "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte not in _ENCODED else f"%{byte:02X}" for byte in os.fsencode(path)
    )


def decode(path: str) -> str:
    """Return the local path that `encode` turned into `path`; any other name is returned unchanged."""
    plain = os.fsdecode(unquote_to_bytes(path))
    return plain if encode(plain) == path else path


def local_paths(stored: Iterable[str], below: str) -> dict[str, str]:
    """Map paths in a commit to different relative local paths, each decoded where the result can be a local name.

    A name stays encoded if its decoded form contains a NUL byte, or is the name that another one of the same folder
    keeps. A name or path that is too long for the file system is abbreviated and ends in a digest.

    Args:
        stored: absolute paths in a commit.
        below: absolute path of the folder that the local paths are relative to.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    paths = list(stored)
    for path in paths:
        parent = ""
        for name in path.strip("/").split("/"):
            folders[parent].add(name)
            parent = f"{parent}/{name}"
    names = {f"{parent}/{name}": local for parent, group in folders.items() for name, local in _local(group).items()}
    longest = _LONGEST_PATH - len(os.fsencode(below)) - 1
    found = {}
    for path in paths:
        parts = path.strip("/").split("/")
        local = "/".join(names["/" + "/".join(parts[: end + 1])] for end in range(len(parts)))
        found[path] = local if len(os.fsencode(local)) <= longest else _abbreviated("", path)
    return found


def _local(stored: set[str]) -> dict[str, str]:
    """Map the names of one folder to different local names."""
    names = {name: plain if "\0" not in (plain := decode(name)) else name for name in stored}
    # Encoded names differ from each other, so this ends.
    while twice := {local for local, count in Counter(names.values()).items() if count > 1}:
        names = {name: name if local in twice else local for name, local in names.items()}
    return {
        name: local if len(os.fsencode(local)) <= _LONGEST_NAME else _abbreviated(name[:200], name)
        for name, local in names.items()
    }


def _abbreviated(beginning: str, stored: str) -> str:
    digest = hashlib.sha256(stored.encode()).hexdigest()[:16]
    return f"{beginning}~{digest}{posixpath.splitext(stored)[1][:16]}"
