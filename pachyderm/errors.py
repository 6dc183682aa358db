"""What can go wrong on the floor of versioned data, as one tree.

It exists so that a caller can tell bad input, a service that is away and failed work apart, whatever server answered.

    PachydermError
    ├── RequestError       names something that is not there or not allowed: a repo, a commit, a value
    ├── UnreachableError   no Pachyderm answers at the address
    ├── StoreError         the embedded store's folder cannot be used: another version, no store, read-only
    ├── StorageError       the store could not write: disk full, I/O error
    ├── CommitFailedError  a commit ended with an error; carries the commit and its error
    ├── HopelessError      the work cannot succeed on this input, however often it is tried
    └── LostClaimError     another attempt took the output commit over; nothing of ours was written
"""

from __future__ import annotations


class PachydermError(Exception):
    """Anything that this floor raises on purpose; its text says the problem and the remedy."""


class RequestError(PachydermError):
    """Something named does not exist or is not allowed; nothing was changed."""


class UnreachableError(PachydermError):
    """No Pachyderm answers at the address."""


class StoreError(PachydermError):
    """The embedded store's folder cannot be used; nothing was changed."""


class StorageError(PachydermError):
    """The store could not write, for example because the disk is full; what was there before is as it was."""


class CommitFailedError(PachydermError):
    """A commit ended with an error.

    Attributes:
        commit: ``repo@id``.
        error: the error that the commit carries, e.g. ``failed: ...``.
    """

    def __init__(self, commit: str, error: str) -> None:
        super().__init__(f"{commit} ended with the error {error!r}")
        self.commit = commit
        self.error = error


class HopelessError(PachydermError):
    """The work cannot succeed on this input, however often it is tried; its text becomes the commit's error."""


class LostClaimError(PachydermError):
    """Another attempt took the output commit over."""
