"""Commits as plain frozen data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection
from pachyderm.client.rpc import call, call_stream, commit_of, head_of, repo_of
from pachyderm.errors import RequestError

State = Literal["open", "finishing", "good", "failed", "superseded", "cancelled"]
"""A commit is being written, is being validated by the server, or has one of four ends."""


@dataclass(frozen=True, order=True)
class CommitId:
    """A commit of a repo, written ``repo@id``."""

    repo: str
    id: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"


@dataclass(frozen=True)
class Commit:
    """A commit.

    Attributes:
        repo: its repo.
        id: 32 hex digits; also the id of its commit set.
        parent: id of the parent commit, if it has one.
        started: seconds since 1970.
        finishing: seconds since 1970 when it was closed for writing, or None while it is open.
        finished: seconds since 1970 when the server had validated it, or None while it is open or finishing.
        error: empty for a good commit.
        auto: whether the server opened it because an input moved.
        metadata: key -> value.
        provenance: the commits that it was made from, direct ones only, sorted by repo and id; servers list them in no
            particular order.
        description: as given when it was started.
        bytes: the size of its files; 0 until it has finished.
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
    bytes: int = 0

    def __str__(self) -> str:
        return f"{self.repo}@{self.id}"

    @property
    def state(self) -> State:
        """The state; the first word of `error` distinguishes ``superseded`` and ``cancelled`` from ``failed``."""
        if self.finishing is None and self.finished is None:
            return "open"
        # pachd sets the error when it starts to finish the commit, so the end is known before `finished`.
        if self.error:
            word = self.error.partition(":")[0]
            return word if word in ("superseded", "cancelled") else "failed"  # type: ignore[return-value]
        return "good" if self.finished is not None else "finishing"

    def _repr_html_(self) -> str:
        """Describe the commit in a notebook."""
        from pachyderm.fragments import render

        return render("commit.html", commit=self)

    @property
    def ended(self) -> bool:
        """Whether the server has finished the commit."""
        return self.finished is not None


def inspect(client: Connection, repo: str, commit_id: str, wait: bool = False) -> Commit:
    """Read one commit by id.

    If no commit of that commit set is in `repo`, the server returns an older commit (an alias), whose id differs.

    Args:
        client: the connection.
        repo: the repo's name.
        commit_id: 32 hex digits.
        wait: return only when the commit has finished.

    Raises:
        RequestError: commit not found.
    """
    if not _ID.fullmatch(commit_id):
        raise _not_found(f"{repo}@{commit_id}")
    return _inspect(client, commit_of(client, repo, commit_id), f"{repo}@{commit_id}", wait)


def downstream(client: Connection, commit: Commit | CommitId) -> tuple[CommitId, ...]:
    """Return the commits of the same commit set that are made from a commit directly, sorted by repo.

    Raises:
        RequestError: commit not found.
    """
    info = _info(client, commit_of(client, commit.repo, commit.id), str(commit), wait=False)
    # A model that has been in use for long has thousands of commits made from it, in as many commit sets.
    return tuple(sorted(_id_of(made) for made in info.direct_subvenance if made.id == commit.id))


def head(client: Connection, branch: BranchName) -> Commit:
    """Read the head of a branch.

    Raises:
        RequestError: branch not found.
    """
    return _inspect(client, head_of(client, branch), str(branch), wait=False)


def _inspect(client: Connection, commit: Mapping[str, Any], name: str, wait: bool) -> Commit:
    return _from_info(_info(client, commit, name, wait))


def _info(client: Connection, commit: Mapping[str, Any], name: str, wait: bool) -> Any:
    state = _FINISHED if wait else _STARTED
    try:
        return call(client, "InspectCommit", "CommitInfo", commit=commit, wait=state)
    except grpc.RpcError as error:
        # Depending on what is missing, pachd answers NOT_FOUND, or UNKNOWN with this text.
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            raise _not_found(name) from error
        raise


def _not_found(name: str) -> RequestError:
    return RequestError(f"commit {name} not found; `pix2pix log REPO` lists the commits of a repo")


def history(client: Connection, branch: BranchName, number: int = 0) -> Iterator[Commit]:
    """Yield the commits of a branch from its head along the parents, newest first; `number` 0 means all."""
    repo, to = repo_of(client, branch.repo), head_of(client, branch)
    return map(_from_info, call_stream(client, "ListCommit", "CommitInfo", repo=repo, to=to, number=number))


def lineage(client: Connection, repo: str, commit_id: str | None, number: int = 0) -> Iterator[Commit]:
    """Yield a commit and its ancestors, newest first; nothing for None, and `number` 0 means all."""
    if commit_id is not None:
        to = commit_of(client, repo, commit_id)
        yield from map(
            _from_info,
            call_stream(client, "ListCommit", "CommitInfo", repo=repo_of(client, repo), to=to, number=number),
        )


def all_commits(client: Connection, repo: str, number: int = 0) -> Iterator[Commit]:
    """Yield the commits of a repo on any branch, newest first; `number` 0 means all."""
    return map(_from_info, call_stream(client, "ListCommit", "CommitInfo", repo=repo_of(client, repo), number=number))


def refuse_open(commit: Commit, then: str) -> None:
    """Refuse to continue from an input commit that is open.

    Args:
        commit: the head of an input branch.
        then: what the user should do once the commit is finished or deleted, e.g. ``put again``.

    Raises:
        RequestError: the commit is open.
    """
    if commit.state == "open":
        raise RequestError(
            f"{commit} is still open: another program is writing it, or died while writing; finish it"
            f" (pachctl finish commit {commit}) or delete it (pachctl delete commit {commit}), then {then}"
        )


def of_set(client: Connection, commit_set: str) -> Iterator[Commit]:
    """Yield the commits of a commit set and its aliases, upstream first.

    Raises:
        grpc.RpcError: NOT_FOUND if there is no such commit set.
    """
    return map(_from_info, call_stream(client, "InspectCommitSet", "CommitInfo", commit_set={"id": commit_set}))


def _from_info(info: Any) -> Commit:
    """Convert a ``CommitInfo``."""
    return Commit(
        repo=info.commit.repo.name,
        id=info.commit.id,
        parent=info.parent_commit.id or None,
        started=_seconds(info.started),
        finishing=_seconds(info.finishing) or None,
        finished=_seconds(info.finished) or None,
        error=info.error,
        auto=info.origin.kind == _AUTO,
        metadata={entry.key: entry.value for entry in info.metadata},
        provenance=tuple(sorted(_id_of(source) for source in info.direct_provenance)),
        description=info.description,
        # The upper bound is 0 where pachd inspects a commit, and not 0 where it lists an open one.
        bytes=info.details.size_bytes,
    )


def _id_of(commit: Any) -> CommitId:
    return CommitId(commit.repo.name, commit.id)


def _seconds(timestamp: Any) -> float:
    """Convert a ``Timestamp`` to seconds since 1970; 0 if it is absent."""
    return float(timestamp.seconds + timestamp.nanos / 1e9)


_ID = re.compile(r"[0-9a-f]{12}4[0-9a-f]{19}")
"""Ids of commits, as pachd and the store make them. pachd takes any other text for a branch, and crashes serving the
request if there is none (seen on pachd 2.12)."""

_AUTO = pfs.OriginKind.AUTO.value
_STARTED, _FINISHED = pfs.CommitState.STARTED.value, pfs.CommitState.FINISHED.value
