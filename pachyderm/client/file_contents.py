"""Contents of files to be written: local files, bytes, or files that the server already stores."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pachyderm.client.files import FileEntry

ONE_CHUNK = 1_000_000
"""A shorter file is a single chunk on the server, so its hash can be computed in advance."""


@dataclass(frozen=True)
class StoredFile:
    """Content that a commit on this server already holds; it is copied there without passing through the client.

    Attributes:
        repo: the commit's repo.
        commit: the commit's id.
        path: the file's path in the commit.
        entry: the file's size and hash.
    """

    repo: str
    commit: str
    path: str
    entry: FileEntry


FileContent = Path | bytes | StoredFile
"""Content of a file to be written: a local file, bytes, or a stored file."""


@dataclass(frozen=True)
class Expected:
    """What the server's listing must report about a published file.

    Attributes:
        bytes: its size.
        hash: hex of its content hash, or None if that cannot be computed in advance.
    """

    bytes: int
    hash: str | None


def expected(content: FileContent) -> Expected:
    """Compute what the server's listing will report (below one chunk: BLAKE2b-256 of BLAKE2b-256)."""
    match content:
        case StoredFile():
            return Expected(content.entry.bytes, content.entry.hash)
        case bytes():
            return Expected(len(content), _hash(content))
        case _:
            size = content.stat().st_size
            return Expected(size, _hash(content.read_bytes()) if size < ONE_CHUNK else None)


def _hash(content: bytes) -> str | None:
    if len(content) >= ONE_CHUNK or not content:
        return None
    inner = hashlib.blake2b(content, digest_size=32).digest()
    return hashlib.blake2b(inner, digest_size=32).hexdigest()
