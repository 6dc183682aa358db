"""Errors that the store sends to clients: gRPC status codes with pachd's texts.

Clients match on both: on the code if pachd sends one, on the text if pachd answers UNKNOWN.
"""

from __future__ import annotations

import errno
import sqlite3

import grpc

from pachyderm.errors import PachydermError
from pachyderm.store.file_size_limit import explain


class StatusError(PachydermError):
    """A failure that ends the request with a gRPC status.

    Attributes:
        code: gRPC status code.
        text: message for the client.
        status: serialized `google.rpc.Status` with the error's details; empty for none.
    """

    def __init__(self, text: str, code: grpc.StatusCode = grpc.StatusCode.UNKNOWN, status: bytes = b"") -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.status = status


def invalid_argument(text: str) -> StatusError:
    """Return the error for a request that is invalid whatever the store holds."""
    return StatusError(text, grpc.StatusCode.INVALID_ARGUMENT)


def not_found(text: str) -> StatusError:
    """Return the error for a missing object."""
    return StatusError(text, grpc.StatusCode.NOT_FOUND)


def already_exists(text: str) -> StatusError:
    """Return the error for creating an object that exists."""
    return StatusError(text, grpc.StatusCode.ALREADY_EXISTS)


def unimplemented(what: str) -> StatusError:
    """Return the error for an RPC, or a feature of one, that the store does not serve."""
    return StatusError(f"{what} is not served by the embedded store", grpc.StatusCode.UNIMPLEMENTED)


def data_loss(text: str) -> StatusError:
    """Return the error for content that is missing or does not match its hash."""
    return StatusError(f"{text}; run `pix2pix store fsck`", grpc.StatusCode.DATA_LOSS)


def read_only(reason: PachydermError) -> StatusError:
    """Return the error for a write to a store that can only be read."""
    code = grpc.StatusCode.RESOURCE_EXHAUSTED if reason.retryable else grpc.StatusCode.FAILED_PRECONDITION
    return StatusError(str(reason), code)


def commit_not_found(commit: str) -> StatusError:
    """Return the error for a name that neither a commit nor an alias has."""
    return not_found(f"commit {commit} not found")


def commit_already_finished(commit: str) -> StatusError:
    """Return the error for a write to a finished commit."""
    return StatusError(f"commit {commit} has already finished")


def file_not_found(path: str, repo: str, commit: str) -> StatusError:
    """Return the error for a path without a file or directory, or a pattern without a match."""
    return not_found(f"file {path} not found in repo {repo} at commit {commit}")


def from_exception(error: BaseException) -> StatusError | None:
    """Translate a failure of the disk, of memory or of SQLite; None for any other exception, which is a defect."""
    limit = explain(error)
    if limit:
        return StatusError(f"the store cannot be written: {limit}", grpc.StatusCode.RESOURCE_EXHAUSTED)
    match error:
        case StatusError():
            return error
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return StatusError("the disk is full; free some space and try again", grpc.StatusCode.RESOURCE_EXHAUSTED)
        case OSError(errno=errno.EROFS | errno.EACCES | errno.EPERM):
            return StatusError(f"the store cannot be written: {error.strerror}", grpc.StatusCode.FAILED_PRECONDITION)
        case OSError():
            return StatusError(f"the store's disk failed: {error}", grpc.StatusCode.DATA_LOSS)
        case sqlite3.OperationalError() | sqlite3.DatabaseError():
            return _from_sqlite(error)
        case MemoryError():
            return StatusError("out of memory", grpc.StatusCode.RESOURCE_EXHAUSTED)
    return None


def _from_sqlite(error: sqlite3.Error) -> StatusError | None:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith("SQLITE_FULL"):
        return StatusError("the disk is full; free some space and try again", grpc.StatusCode.RESOURCE_EXHAUSTED)
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return StatusError("the store is busy: another process is writing; try again", grpc.StatusCode.UNAVAILABLE)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return StatusError(f"the store cannot be written: {error}", grpc.StatusCode.FAILED_PRECONDITION)
    if name.startswith(("SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return StatusError(f"the store's disk failed: {error}; run `pix2pix store fsck`", grpc.StatusCode.DATA_LOSS)
    return None
