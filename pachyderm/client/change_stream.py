"""Changes of files as the stream of requests that Pachyderm takes them in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TypeVar

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.file_contents import pieces_of

T = TypeVar("T")

UploadProgress = Callable[[int, int, str], None]
"""Called as ``progress(files sent, files to send, path)``."""


def send(
    changed: Mapping[str, Path],
    deleted: Sequence[str],
    progress: UploadProgress | None,
    write: Callable[[Iterator[pfs.ModifyFileRequest]], T],
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
) -> Iterator[pfs.ModifyFileRequest]:
    """Yield the changes as requests; append the error of an unreadable local file to `failures` and raise it."""
    for path in deleted:
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
    for done, (path, local) in enumerate(changed.items()):
        if progress:
            progress(done, len(changed), path)
        # Adding appends, so the present content is deleted first.
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        try:
            yield from _contents(path, local, digests)
        except OSError as error:
            failures.append(error)
            raise
    if progress:
        progress(len(changed), len(changed), "")


def _contents(path: str, local: Path, digests: dict[str, str] | None) -> Iterator[pfs.ModifyFileRequest]:
    digest = None if digests is None else hashlib.sha256()
    with local.open("rb") as stream:
        for request in pieces_of(path, stream):
            if digest is not None:
                digest.update(request.add_file.raw)
            yield request
    if digests is not None and digest is not None:
        digests[path] = digest.hexdigest()


def digest_of(local: Path) -> str:
    """Return the SHA-256 of a local file, hex."""
    stream: IO[bytes]
    with local.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
