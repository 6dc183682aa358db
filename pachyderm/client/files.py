"""The files of a commit: what there is, what matches, what differs from another commit, and the bytes of a small one.

It exists because stages compare listings of 100,000 files, of which path, size and content hash are all that counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.connection import Connection
from pachyderm.client.rpc import commit_of, file_of, streamed
from pachyderm.errors import RequestError

REPORT = "/_report/"
"""Folder of a stage's report; excluded from every listing that a fingerprint or a plan compares."""

PARAMETERS_FILE = "/pix2pix.toml"
"""Parameters of an input repo; excluded likewise, since fingerprints hold the resolved parameters instead."""


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
"""Path (absolute, as Pachyderm writes it) -> file."""


def files(client: Connection, repo: str, commit_id: str, under: str = "/") -> dict[str, FileEntry]:
    """List every file of a commit below a path, in byte order; empty where the path is not there.

    Raises:
        RequestError: the commit is open, and so is the one before it, on which its files rest.
    """
    found = streamed(client, "WalkFile", "FileInfo", file=file_of(client, repo, commit_id, under))
    try:
        return dict(map(_entry, filter(_is_file, found)))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return {}
        _tell_open(repo, commit_id, error)
        raise


def _tell_open(repo: str, commit_id: str, error: grpc.RpcError) -> None:
    """Say in our words that a commit cannot be listed because nothing that it rests on has ended."""
    told = error.details() or ""
    if "base commit" in told and "unfinished" in told:
        raise RequestError(
            f"{repo}@{commit_id} is still open, and so is the commit before it: it has no files that could be shown"
            " yet; `pix2pix status` says what they wait for"
        ) from error


def matching(client: Connection, repo: str, commit_id: str, pattern: str) -> dict[str, FileEntry]:
    """List the files of a commit that match a glob pattern of Pachyderm's, those below a matching folder included."""
    found: dict[str, FileEntry] = {}
    commit = commit_of(client, repo, commit_id)
    for info in streamed(client, "GlobFile", "FileInfo", commit=commit, pattern=pattern):
        found |= [_entry(info)] if _is_file(info) else files(client, repo, commit_id, info.file.path)
    return found


def differing(client: Connection, repo: str, commit_id: str, before: str) -> dict[str, FileEntry | None]:
    """The files in which a commit differs from another one of its repo; None for one that it lacks."""
    new_root, old_root = (file_of(client, repo, one, "/") for one in (commit_id, before))
    found: dict[str, FileEntry | None] = {}
    for answer in streamed(client, "DiffFile", "DiffFileResponse", new_file=new_root, old_file=old_root):
        new, old = answer.new_file, answer.old_file
        if new.file.path and _is_file(new):
            found |= [_entry(new)]
        elif old.file.path and _is_file(old):
            found.setdefault(old.file.path, None)
    return found


def with_changes(listing: Listing, changed: Mapping[str, FileEntry | None]) -> dict[str, FileEntry]:
    """The listing of a commit, reckoned from that of another one and from what differs (see `differing`)."""
    kept = {path: entry for path, entry in listing.items() if path not in changed}
    return kept | {path: entry for path, entry in changed.items() if entry is not None}


def content(listing: Listing) -> dict[str, FileEntry]:
    """A listing without what a stage says about itself and without the parameters file."""
    return {path: entry for path, entry in listing.items() if not path.startswith(REPORT) and path != PARAMETERS_FILE}


def read_pieces(client: Connection, repo: str, commit_id: str, path: str) -> Iterator[bytes]:
    """The bytes of one file, as they come."""
    for piece in streamed(client, "GetFile", "BytesValue", file=file_of(client, repo, commit_id, path)):
        yield piece.value


def read(client: Connection, repo: str, commit_id: str, path: str) -> bytes | None:
    """Read one small file whole, or None where the commit has none.

    Raises:
        RequestError: as `files`.
    """
    try:
        return b"".join(read_pieces(client, repo, commit_id, path))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            return None
        _tell_open(repo, commit_id, error)
        raise


def _is_file(info: Any) -> bool:
    return bool(info.file_type == _FILE)


def _entry(info: Any) -> tuple[str, FileEntry]:
    return info.file.path, FileEntry(info.size_bytes, info.hash.hex())


_FILE = pfs.FileType.FILE.value
