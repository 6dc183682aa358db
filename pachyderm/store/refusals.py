"""What the store refuses, with the gRPC code and the words that pachd uses.

It exists because clients match on both: codes where pachd has one, the text where pachd answers UNKNOWN.
"""

from __future__ import annotations

import errno
import sqlite3

import grpc

from pachyderm.errors import PachydermError
from pachyderm.store.file_size_limit import explained


class Refusal(PachydermError):  # noqa: N818 - a refusal is an answer, not a fault
    """A request that is answered with a gRPC error.

    Attributes:
        code: the gRPC status code.
        text: what the client sees.
        status: a serialised `google.rpc.Status` with details that go with the error; empty for none.
    """

    def __init__(self, text: str, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN, status: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.status = status


def invalid(text: str) -> Refusal:
    """A request that can never be answered, whatever is in the store."""
    return Refusal(text, grpc.StatusCode.INVALID_ARGUMENT)


def missing(text: str) -> Refusal:
    """Something named is not there."""
    return Refusal(text, grpc.StatusCode.NOT_FOUND)


def exists(text: str) -> Refusal:
    """Something named is there already."""
    return Refusal(text, grpc.StatusCode.ALREADY_EXISTS)


def unserved(what: str) -> Refusal:
    """An RPC, or a part of one, that this store does not serve."""
    return Refusal(f"{what} is not served by the embedded store", grpc.StatusCode.UNIMPLEMENTED)


def damaged(text: str) -> Refusal:
    """Content that is missing or is not what its hash says."""
    return Refusal(f"{text}; run `pix2pix store fsck`", grpc.StatusCode.DATA_LOSS)


def commit_missing(commit: str) -> Refusal:
    """No such commit, and no alias of it."""
    return missing(f"commit {commit} not found")


def commit_finished(commit: str) -> Refusal:
    """A write to a commit that was finished."""
    return Refusal(f"commit {commit} has already finished")


def file_missing(path: str, repo: str, commit: str) -> Refusal:
    """No file or directory at the path, or no match of the pattern."""
    return missing(f"file {path} not found in repo {repo} at commit {commit}")


def of_failure(error: BaseException) -> Refusal | None:
    """Translate a failure of the disk or of SQLite; None where it is a defect of the store."""
    limit = explained(error)
    if limit:
        return Refusal(f"the store cannot be written: {limit}", grpc.StatusCode.RESOURCE_EXHAUSTED)
    match error:
        case Refusal():
            return error
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Refusal("the disk is full; free some space and try again", grpc.StatusCode.RESOURCE_EXHAUSTED)
        case OSError(errno=errno.EROFS | errno.EACCES | errno.EPERM):
            return Refusal(f"the store cannot be written: {error.strerror}", grpc.StatusCode.FAILED_PRECONDITION)
        case OSError():
            return Refusal(f"the store's disk failed: {error}", grpc.StatusCode.DATA_LOSS)
        case sqlite3.OperationalError() | sqlite3.DatabaseError():
            return _of_sqlite(error)
        case MemoryError():
            return Refusal("out of memory", grpc.StatusCode.RESOURCE_EXHAUSTED)
    return None


def _of_sqlite(error: sqlite3.Error) -> Refusal | None:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return Refusal("the disk is full; free some space and try again", grpc.StatusCode.RESOURCE_EXHAUSTED)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Refusal("the store is busy: another process is writing; try again", grpc.StatusCode.UNAVAILABLE)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return Refusal(f"the store cannot be written: {error}", grpc.StatusCode.FAILED_PRECONDITION)
    if name.startswith(("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return Refusal(f"the store's disk failed: {error}; run `pix2pix store fsck`", grpc.StatusCode.DATA_LOSS)
    return None
