"""Commits as plain frozen data.

It exists because the server's messages mislead: what is being finished, failed, or an alias, is told between the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection
from pachyderm.client.rpc import asked, commit_of, head_of, repo_of, streamed
from pachyderm.errors import RequestError

State = Literal["open", "finishing", "good", "failed", "superseded", "cancelled"]
"""Of a commit: being written, being checked by the server, or one of its four ends."""


@dataclass(frozen=True, order=True)
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
        provenance: the commits that it is made from, directly, sorted by repo and id.
        subvenance: the commits that are made from it, directly, sorted by repo and id.
        bytes: at most so many; 0 while it is open.
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
    subvenance: tuple[CommitId, ...] = ()
    bytes: int = 0

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
    return _inspect(client, commit_of(client, repo, commit_id), f"{repo}@{commit_id}", wait)


def head(client: Connection, branch: BranchName) -> Commit:
    """Read the head of a branch.

    Raises:
        RequestError: there is no such branch.
    """
    return _inspect(client, head_of(client, branch), str(branch), wait=False)


def _inspect(client: Connection, commit: Mapping[str, Any], name: str, wait: bool) -> Commit:
    try:
        return _read(asked(client, "InspectCommit", "CommitInfo", commit=commit, wait=_FINISHED if wait else _STARTED))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            raise RequestError(f"there is no commit {name} here; `pix2pix log REPO` lists those that are") from error
        raise


def history(client: Connection, branch: BranchName, number: int = 0) -> Iterator[Commit]:
    """Walk a branch from its head back along the parents, newest first; `number` 0 means all."""
    repo, to = repo_of(client, branch.repo), head_of(client, branch)
    return map(_read, streamed(client, "ListCommit", "CommitInfo", repo=repo, to=to, number=number))


def all_commits(client: Connection, repo: str, number: int = 0) -> Iterator[Commit]:
    """Walk all commits of a repo, whatever the branch, newest first; `number` 0 means all."""
    return map(_read, streamed(client, "ListCommit", "CommitInfo", repo=repo_of(client, repo), number=number))


def refuse_open(commit: Commit, then: str) -> None:
    """Refuse to go on from an input commit that is open, and say what to do before `then`.

    Raises:
        RequestError: it is open.
    """
    if commit.state == "open":
        raise RequestError(
            f"{commit} is still open: another program writes it, or was ended while it did; finish it"
            f" (pachctl finish commit {commit}) or drop it (pachctl delete commit {commit}), then {then}"
        )


def of_set(client: Connection, commit_set: str) -> Iterator[Commit]:
    """The commits of a set and its aliases, upstream first; NOT_FOUND where there is no such set."""
    return map(_read, streamed(client, "InspectCommitSet", "CommitInfo", commit_set={"id": commit_set}))


def _read(info: Any) -> Commit:
    """Read a ``CommitInfo``."""
    return Commit(
        repo=info.commit.repo.name,
        id=info.commit.id,
        parent=info.parent_commit.id or None,
        started=_seconds(info.started),
        finishing=_seconds(info.finishing) or None,
        finished=_seconds(info.finished) or None,
        error=info.error,
        auto=info.origin.kind == _AUTO,
        metadata={one.key: one.value for one in info.metadata},
        provenance=_sorted(info.direct_provenance),
        subvenance=_sorted(info.direct_subvenance),
        description=info.description,
        bytes=info.size_bytes_upper_bound,
    )


def _sorted(commits: Iterable[Any]) -> tuple[CommitId, ...]:
    """Sort commits by repo and id; servers list them in no particular order."""
    return tuple(sorted(CommitId(commit.repo.name, commit.id) for commit in commits))


def _seconds(time: Any) -> float:
    """Seconds since 1970; 0 where it is absent."""
    return float(time.seconds + time.nanos / 1e9)


_AUTO = pfs.OriginKind.AUTO.value
_STARTED, _FINISHED = pfs.CommitState.STARTED.value, pfs.CommitState.FINISHED.value
