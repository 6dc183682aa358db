"""Commits as plain frozen data.

It exists because the SDK's messages mislead: an absent time reads as 1970, and an absent parent as an empty commit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.connection import Connection
from pachyderm.errors import RequestError
from pachyderm.repos import BranchName

State = Literal["open", "finishing", "good", "failed", "superseded", "cancelled"]
"""Of a commit: being written, being checked by the server, or one of its four ends."""


@dataclass(frozen=True)
class CommitId:
    """A commit of a repo, written ``repo@id``."""

    repo: str
    id: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


@dataclass(frozen=True)
class Commit:
    """A commit as the server told it.

    Attributes:
        started: seconds since 1970.
        finished: seconds since 1970, or None while it is open or finishing.
        auto: whether the server opened it because an input moved.
        provenance: the commits that it is made from, directly.
    """

    repo: str
    id: str
    parent: str | None
    started: float
    finishing: float | None
    finished: float | None
    error: str
    auto: bool
    metadata: Mapping[str, str] = field(default_factory=dict)
    provenance: tuple[CommitId, ...] = ()
    description: str = ""

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"

    @property
    def state(self) -> State:
        """How far it is, or how it ended; the error's first word says which end (architecture, section 4)."""
        if self.finishing is None and self.finished is None:
            return "open"
        if self.error:
            word = self.error.partition(":")[0]
            return word if word in ("superseded", "cancelled") else "failed"  # type: ignore[return-value]
        return "good" if self.finished is not None else "finishing"

    @property
    def ended(self) -> bool:
        """Whether the server is done with it."""
        return self.finished is not None


def from_info(info: Any) -> Commit:
    """Read a ``pfs.CommitInfo``."""
    return Commit(
        repo=info.commit.repo.name,
        id=info.commit.id,
        parent=info.parent_commit.id or None if info.parent_commit else None,
        started=info.started.timestamp(),
        finishing=_time(info.finishing),
        finished=_time(info.finished),
        error=info.error,
        auto=info.origin.kind == pfs.OriginKind.AUTO,
        metadata=dict(info.metadata),
        provenance=tuple(CommitId(c.repo.name, c.id) for c in info.direct_provenance),
        description=info.description,
    )


def _time(value: Any) -> float | None:
    # betterproto gives 1970-01-01 for a time that is absent.
    seconds = value.timestamp() if value else 0.0
    return seconds if seconds > 0 else None


def inspect(client: Connection, repo: str, commit_id: str, wait: bool = False) -> Commit:
    """Read one commit by id; the id of a set that left `repo` alone gives an older commit (an alias).

    Args:
        client: the connection.
        repo: the repo's name.
        commit_id: 32 hex digits.
        wait: return only when the commit is finished.

    Raises:
        RequestError: there is no such commit.
    """
    return _inspect(client, client.commit(repo, commit_id), f"{repo}@{commit_id}", wait)


def head(client: Connection, branch: BranchName) -> Commit:
    """Read the head of a branch.

    Raises:
        RequestError: there is no such branch.
    """
    return _inspect(client, client.head(branch), str(branch), wait=False)


def _inspect(client: Connection, commit: pfs.Commit, name: str, wait: bool) -> Commit:
    state = pfs.CommitState.FINISHED if wait else pfs.CommitState.STARTED
    try:
        return from_info(client.pfs.inspect_commit(commit=commit, wait=state))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            raise RequestError(f"there is no commit {name} here; `pix2pix log REPO` lists those that are") from error
        raise


def history(client: Connection, branch: BranchName, number: int = 0) -> Iterator[Commit]:
    """Walk a branch from its head back along the parents, newest first; `number` 0 means all."""
    for info in client.pfs.list_commit(repo=client.repo(branch.repo), to=client.head(branch), number=number):
        yield from_info(info)


def all_commits(client: Connection, repo: str, number: int = 0) -> Iterator[Commit]:
    """Walk all commits of a repo, whatever the branch, newest first."""
    for info in client.pfs.list_commit(repo=client.repo(repo), number=number):
        yield from_info(info)
