"""Files of a commit: listings, glob matches, differences between commits, and contents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.connection import Connection
from pachyderm.client.rpc import call_stream, commit_of, file_of
from pachyderm.errors import RequestError

REPORT = "/_report/"
"""Folder of a stage's report; excluded from every listing that a fingerprint or a plan compares."""

PARAMETERS_FILE = "/pix2pix.toml"
"""Parameters of an input repo; excluded likewise, because fingerprints contain the resolved parameters instead."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a commit.

    Attributes:
        bytes: its size.
        hash: hex of the server's content hash; opaque, equal for equal content on one server.
    """

    bytes: int
    hash: str


Listing = Mapping[str, FileEntry]
"""Absolute path as Pachyderm writes it -> file."""


def files(client: Connection, repo: str, commit_id: str, under: str = "/") -> dict[str, FileEntry]:
    """List every file of a commit below a path, in byte order; empty if the path does not exist.

    Raises:
        RequestError: the commit is open, and so is its parent, on which its files are based.
    """
    infos = call_stream(client, "WalkFile", "FileInfo", file=file_of(client, repo, commit_id, under))
    try:
        return dict(map(_entry, filter(_is_file, infos)))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return {}
        _raise_if_unreadable(repo, commit_id, error)
        raise


def _raise_if_unreadable(repo: str, commit_id: str, error: grpc.RpcError) -> None:
    """Raise a `RequestError` if the server cannot read a commit because none of its ancestors has finished."""
    details = error.details() or ""
    if "base commit" in details and "unfinished" in details:
        raise RequestError(
            f"{repo}@{commit_id} is still open or has failed, and its parent is still open: it has no readable files"
            " yet; `pix2pix status` shows what they wait for"
        ) from error


def matching(client: Connection, repo: str, commit_id: str, pattern: str) -> dict[str, FileEntry]:
    """List the files of a commit that match a Pachyderm glob pattern, including those below a matching folder."""
    found: dict[str, FileEntry] = {}
    commit = commit_of(client, repo, commit_id)
    for info in call_stream(client, "GlobFile", "FileInfo", commit=commit, pattern=pattern):
        found |= [_entry(info)] if _is_file(info) else files(client, repo, commit_id, info.file.path)
    return found


def differing(client: Connection, repo: str, commit_id: str, before: str) -> dict[str, FileEntry | None]:
    """List the files in which a commit differs from another commit of its repo; None for a deleted file."""
    new_root, old_root = file_of(client, repo, commit_id, "/"), file_of(client, repo, before, "/")
    found: dict[str, FileEntry | None] = {}
    # The server also lists the changed folders.
    for difference in call_stream(client, "DiffFile", "DiffFileResponse", new_file=new_root, old_file=old_root):
        new, old = difference.new_file, difference.old_file
        if new.file.path and _is_file(new):
            found |= [_entry(new)]
        elif old.file.path and _is_file(old):
            found.setdefault(old.file.path, None)
    return found


def count_of_change(client: Connection, repo: str, commit_id: str, before: str) -> int:
    """Return by how many files a commit has more than another commit of its repo, without report and parameters."""
    new_root, old_root = file_of(client, repo, commit_id, "/"), file_of(client, repo, before, "/")
    change = 0
    for difference in call_stream(client, "DiffFile", "DiffFileResponse", new_file=new_root, old_file=old_root):
        for info, step in ((difference.new_file, 1), (difference.old_file, -1)):
            if info.file.path and _is_file(info):
                change += step * len(content(dict([_entry(info)])))
    return change


def with_changes(listing: Listing, changed: Mapping[str, FileEntry | None]) -> dict[str, FileEntry]:
    """Apply differences (see `differing`) to the listing of the commit that they start from."""
    kept = {path: entry for path, entry in listing.items() if path not in changed}
    return kept | {path: entry for path, entry in changed.items() if entry is not None}


def content(listing: Listing) -> dict[str, FileEntry]:
    """Return a listing without the stage's report and without the parameters file."""
    return {path: entry for path, entry in listing.items() if not path.startswith(REPORT) and path != PARAMETERS_FILE}


def read_pieces(client: Connection, repo: str, commit_id: str, path: str) -> Iterator[bytes]:
    """Yield the bytes of one file as they arrive."""
    for piece in call_stream(client, "GetFile", "BytesValue", file=file_of(client, repo, commit_id, path)):
        yield piece.value


def read(client: Connection, repo: str, commit_id: str, path: str) -> bytes | None:
    """Read one small file whole; None if the commit has no such file.

    Raises:
        RequestError: as for `files`.
    """
    try:
        return b"".join(read_pieces(client, repo, commit_id, path))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            return None
        _raise_if_unreadable(repo, commit_id, error)
        raise


def _is_file(info: Any) -> bool:
    return bool(info.file_type == _FILE)


def _entry(info: Any) -> tuple[str, FileEntry]:
    return info.file.path, FileEntry(info.size_bytes, info.hash.hex())


_FILE = pfs.FileType.FILE.value
