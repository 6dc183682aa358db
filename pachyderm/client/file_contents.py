"""Contents of files to be written: local files, bytes, or files that the server stores already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pachyderm_sdk.api import pfs

from pachyderm.client.files import FileEntry

PIECE = 1 << 20
"""Bytes of content in one message; the fastest size through the SDK."""

ONE_CHUNK = 1_000_000
"""Below this size a file is one chunk on the server, so its hash can be told beforehand."""


@dataclass(frozen=True)
class StoredFile:
    """Content that a commit of this server holds already; it is copied there and never comes through the client.

    Attributes:
        repo: of the commit.
        commit: its id.
        path: of the file in it.
        entry: its size and hash.
    """

    repo: str
    commit: str
    path: str
    entry: FileEntry


FileContent = Path | bytes | StoredFile
"""What a file shall hold: a local file, bytes, or a file that is stored already."""


@dataclass(frozen=True)
class Expected:
    """How a published file must look: its size, and its hash where that is known."""

    bytes: int
    hash: str | None


def expected(content: FileContent) -> Expected:
    """How content will look in the server's listing (BLAKE2b-256 of BLAKE2b-256 below one chunk)."""
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


def pieces(path: str, local: Path) -> Iterator[pfs.ModifyFileRequest]:
    """The messages that add a local file; they append where the path holds something already."""
    with local.open("rb") as stream:
        yield from pieces_of(path, stream)


def pieces_of(path: str, stream: IO[bytes]) -> Iterator[pfs.ModifyFileRequest]:
    """The messages that add the rest of a stream; they append where the path holds something already."""
    piece = stream.read(PIECE)
    # An empty file exists too.
    yield addition(path, piece)
    while piece := stream.read(PIECE):
        yield addition(path, piece)


def addition(path: str, piece: bytes) -> pfs.ModifyFileRequest:
    """The message that appends bytes to a path."""
    return pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=piece))
