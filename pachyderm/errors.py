"""Errors of the versioned-data layer.

    PachydermError
    ├── RequestError       a repo, commit or value does not exist or is not allowed
    ├── UnreachableError   no Pachyderm answers at the address, or it refuses the token  (retryable)
    ├── ServerError        the server failed: an internal error, damaged data            (retryable)
    │   └── ConflictError  it refused the request in favour of others                    (retryable)
    ├── StoreError         the embedded store's folder cannot be used: wrong version, not a store
    │   └── ReadOnlyError  it cannot be written
    ├── StorageError       the disk is full or failed                                    (retryable)
    │   └── FullError      the disk is full
    ├── CommitFailedError  a commit finished with an error
    ├── PermanentError     the work cannot succeed on this input
    └── LostClaimError     another attempt has taken over the output commit

`pachyderm.store.status_errors.StatusError`, the embedded store's gRPC status, belongs to the same
tree; a client sees it as a `grpc.RpcError`, which `pachyderm.client.connection` translates into one of those above.
"""

from __future__ import annotations

from typing import ClassVar


class PachydermError(Exception):
    """Base of this layer's errors; the message states the problem and the remedy.

    Attributes:
        retryable: whether the same request may succeed later without anybody changing the request or its input.
    """

    retryable: ClassVar[bool] = False


class RequestError(PachydermError):
    """Something that the request names does not exist or is not allowed; nothing was changed."""


class UnreachableError(PachydermError):
    """No Pachyderm answers at the address, or it refuses the token."""

    retryable = True


class ServerError(PachydermError):
    """The server failed to carry out a valid request: an internal error, or data that it has lost."""

    retryable = True


class ConflictError(ServerError):
    """The server rolled a valid request back in favour of other requests; nothing was changed."""


class StoreError(PachydermError):
    """The embedded store's folder cannot be used; nothing was changed."""


class StorageError(PachydermError):
    """A write failed, for example because the disk is full; earlier data is unchanged."""

    retryable = True


class ReadOnlyError(StoreError):
    """The embedded store's folder cannot be written; what it holds can be read."""


class FullError(StorageError):
    """The disk is full; what it holds can be read."""


class CommitFailedError(PachydermError):
    """A commit finished with an error.

    Attributes:
        commit: ``repo@id``.
        error: the error of the commit, e.g. ``failed: ...``.
    """

    def __init__(self, commit: str, error: str) -> None:
        super().__init__(f"{commit} finished with the error {error!r}")
        self.commit = commit
        self.error = error


class PermanentError(PachydermError):
    """The work cannot succeed on this input, however often it is retried; the message becomes the commit's error."""


class LostClaimError(PachydermError):
    """Another attempt has taken over the output commit; nothing of this attempt was written."""
