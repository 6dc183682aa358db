"""Changes of files as the stream of requests that Pachyderm takes them in, without the SDK.

The SDK takes 0.5 ms to serialize a request, most of the time of a commit of many files; Google's protobuf takes some
microseconds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, TypeVar

import grpc

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection
from pachyderm.client.rpc import call_with_stream, head_of
from pachyderm.protocol.protobuf import message

T = TypeVar("T")

UploadProgress = Callable[[int, int, str], None]
"""Called as ``progress(files sent, files to send, path)``."""

ChangeRequest = Any
"""A ``ModifyFileRequest`` of `pachyderm.protocol.protobuf`."""

PIECE = 1 << 20
"""Bytes of content per request."""


def send(
    changed: Mapping[str, Path],
    deleted: Sequence[str],
    progress: UploadProgress | None,
    write: Callable[[Iterator[ChangeRequest]], T],
    digests: dict[str, str] | None = None,
) -> T:
    """Call `write` with the requests for changes, and return its answer.

    Args:
        changed: absolute path in the commit -> local file.
        deleted: paths to delete.
        progress: see `UploadProgress`.
        write: sends the requests.
        digests: gets the SHA-256 of each content that was sent, hex, by path; None computes none.

    Raises:
        OSError: a local file cannot be read.
    """
    failures: list[OSError] = []
    try:
        return write(_requests(changed, deleted, progress, failures, digests))
    except grpc.RpcError:
        if failures:
            # gRPC reports an exception of the request iterator as UNKNOWN, without its text.
            raise failures[0] from None
        raise


def _requests(
    changed: Mapping[str, Path],
    deleted: Sequence[str],
    progress: UploadProgress | None,
    failures: list[OSError],
    digests: dict[str, str] | None,
) -> Iterator[ChangeRequest]:
    """Yield the changes as requests; append the error of an unreadable local file to `failures` and raise it."""
    for path in deleted:
        yield deletion(path)
    for done, (path, local) in enumerate(changed.items()):
        if progress:
            progress(done, len(changed), path)
        # Adding appends, so the present content is deleted first.
        yield deletion(path)
        try:
            yield from _contents(path, local, digests)
        except OSError as error:
            failures.append(error)
            raise
    if progress:
        progress(len(changed), len(changed), "")


def _contents(path: str, local: Path, digests: dict[str, str] | None) -> Iterator[ChangeRequest]:
    digest = None if digests is None else hashlib.sha256()
    with local.open("rb") as stream:
        for piece in pieces(stream):
            if digest is not None:
                digest.update(piece)
            yield addition(path, piece)
    if digests is not None and digest is not None:
        digests[path] = digest.hexdigest()


def digest_of(local: Path) -> str:
    """Return the SHA-256 of a local file, hex."""
    stream: IO[bytes]
    with local.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def modify_files(client: Connection, requests: Iterable[ChangeRequest]) -> None:
    """Change files of the commit, or of the branch, that the first request names.

    Raises:
        grpc.RpcError: the server refuses the changes or does not answer.
    """
    call_with_stream(client, "ModifyFile", "Empty", requests)


def create_file_set(client: Connection, requests: Iterable[ChangeRequest]) -> str:
    """Send changes that belong to no commit yet, and return the id of their file set; errors as of `modify_files`."""
    return str(call_with_stream(client, "CreateFileSet", "CreateFileSetResponse", requests).file_set_id)


def to_head(client: Connection, branch: BranchName) -> ChangeRequest:
    """Return the request that names a branch: the server makes the commit once the stream has ended."""
    return message("ModifyFileRequest", set_commit=head_of(client, branch))


def deletion(path: str) -> ChangeRequest:
    """Return the request that deletes a file, if there is one."""
    return message("ModifyFileRequest", delete_file={"path": path})


def copy(path: str, source: Mapping[str, Any]) -> ChangeRequest:
    """Return the request that copies a file of a commit to a path.

    Args:
        path: of the copy.
        source: what is copied; see `pachyderm.client.rpc.file_of`.
    """
    return message("ModifyFileRequest", copy_file={"dst": path, "src": source})


def addition(path: str, piece: bytes) -> ChangeRequest:
    """Return the request that appends bytes to a path; without any, it creates an empty file."""
    return message("ModifyFileRequest", add_file={"path": path, "raw": {"value": piece}})


def additions(path: str, content: bytes | Path) -> Iterator[ChangeRequest]:
    """Yield the requests that append bytes, or a local file, to a path; at least one."""
    if isinstance(content, bytes):
        for start in range(0, max(len(content), 1), PIECE):
            yield addition(path, content[start : start + PIECE])
        return
    with content.open("rb") as stream:
        for piece in pieces(stream):
            yield addition(path, piece)


def pieces(stream: IO[bytes]) -> Iterator[bytes]:
    """Yield the rest of a stream; at least one piece, which may be empty."""
    piece = stream.read(PIECE)
    yield piece
    while piece := stream.read(PIECE):
        yield piece
