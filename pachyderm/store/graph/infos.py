"""The messages `RepoInfo`, `BranchInfo` and `CommitInfo`, built from rows with the fields that pachd fills in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pachyderm_sdk.api import pfs

from pachyderm.protocol.protobuf import message
from pachyderm.store.database import rows
from pachyderm.store.database.rows import BranchRow, CommitRelation, CommitRow, RepoRow, SqlConnection
from pachyderm.store.graph import triggers
from pachyderm.store.names import RepoName

_NO_ID = b"\0" * 32
"""As long as every id, and in no name."""

_FIELDS: Mapping[str, Callable[[Any], Any]] = {
    "parent": lambda info: info.parent_commit,
    "child": lambda info: info.child_commits.add(),
    "upstream": lambda info: info.direct_provenance.add(),
    "downstream": lambda info: info.direct_subvenance.add(),
}
"""Kind of a relation -> the `Commit` of a `CommitInfo` that names such a commit."""

_epoch = datetime(1970, 1, 1, tzinfo=UTC)


def moment(micros: int) -> datetime:
    """Convert microseconds since 1970 to a time in UTC."""
    return _epoch + timedelta(microseconds=micros)


def _stamp(time: Any, micros: int) -> None:
    time.seconds, time.nanos = micros // 1_000_000, micros % 1_000_000 * 1000


def repo_message(name: RepoName) -> Any:
    """Return the `Repo` message of a name."""
    return pfs.Repo(name=name.name, type=name.type, project=pfs.Project(name=name.project))


class Infos:
    """Builds messages from the rows of one transaction; caches repos."""

    def __init__(self, connection: SqlConnection) -> None:
        self._connection = connection
        self._names: dict[int, RepoName] = {}
        self._repos: dict[int, Any] = {}
        self._namings: dict[CommitRelation, bytes] = {}

    def repo(self, number: int) -> Any:
        """Return the `Repo` with this row id."""
        if number not in self._repos:
            self._repos[number] = repo_message(self._repo_name(number))
        return self._repos[number]

    def _repo_name(self, number: int) -> RepoName:
        if number not in self._names:
            self._names[number] = rows.repo_by_id(self._connection, number).full_name
        return self._names[number]

    def commit(self, row: CommitRow, with_branch: bool = False) -> Any:
        """Return the `Commit` of a row; pachd includes the branch in provenance only."""
        message = pfs.Commit(repo=self.repo(row.repo), id=row.set)
        if with_branch and row.branch:
            message.branch = pfs.Branch(repo=self.repo(row.repo), name=row.branch)
        return message

    def commit_info(self, row: CommitRow) -> bytes:
        """Return the serialized `CommitInfo` of a row."""
        info = message(
            "CommitInfo",
            description=row.description,
            error=row.error,
            size_bytes_upper_bound=row.size,
            metadata=[{"key": key, "value": value} for key, value in json.loads(row.metadata).items()],
        )
        self._name(info.commit, row.repo, row.set)
        info.origin.kind = row.origin
        _stamp(info.started, row.started)
        _stamp(info.created_at, row.started)
        _stamp(info.updated_at, row.updated)
        if row.finishing is not None:
            _stamp(info.finishing, row.finishing)
        if row.finished is not None:
            _stamp(info.finished, row.finished)
            info.details.size_bytes = row.size
        else:
            info.details.SetInParent()
        # Serialized messages may be concatenated, and a model may have thousands of relatives.
        relatives = rows.relatives(self._connection, row)
        named = (
            self._naming(relation).replace(_NO_ID, other.encode())
            for relation in relatives
            for other in relatives[relation]
        )
        return b"".join((info.SerializeToString(), *named))

    def _naming(self, relation: CommitRelation) -> bytes:
        """Return a serialized `CommitInfo` that names one relative, whose id is `_NO_ID`."""
        if relation not in self._namings:
            info = message("CommitInfo")
            branch = relation.branch if relation.kind in ("upstream", "downstream") else ""
            self._name(_FIELDS[relation.kind](info), relation.repo, _NO_ID.decode(), branch)
            self._namings[relation] = info.SerializeToString()
        return self._namings[relation]

    def _name(self, commit: Any, repo_number: int, set_id: str, branch: str = "") -> None:
        """Fill in a `Commit` of `pachyderm.protocol.protobuf`; pachd includes the branch in provenance only."""
        commit.id = set_id
        source = self._repo_name(repo_number)
        for repo in (commit.repo, commit.branch.repo) if branch else (commit.repo,):
            repo.name, repo.type, repo.project.name = source.name, source.type, source.project
        if branch:
            commit.branch.name = branch

    def branch(self, row: BranchRow) -> Any:
        """Return the `Branch` of a row."""
        return pfs.Branch(repo=self.repo(row.repo), name=row.name)

    def branch_info(self, row: BranchRow) -> Any:
        """Return the `BranchInfo` of a row."""
        direct = self._connection.execute(
            "SELECT upstream, never FROM branch_provenance WHERE downstream=? ORDER BY upstream", (row.id,)
        ).fetchall()
        info = pfs.BranchInfo(
            branch=self.branch(row),
            head=self.commit(rows.commit_by_id(self._connection, row.head)),
            provenance=self._branches(reach(self._connection, row.id, "downstream", "upstream")),
            subvenance=self._branches(reach(self._connection, row.id, "upstream", "downstream")),
            direct_provenance=self._branches([number for number, _ in direct]),
            metadata=json.loads(row.metadata),
            created_at=moment(row.created),
            updated_at=moment(row.updated),
        )
        info.branch_propagation_specs = [
            pfs.BranchPropagationSpec(
                branch=self._branches([number])[0], propagation_spec=pfs.PropagationSpec(never=True)
            )
            for number, never in direct
            if never
        ]
        trigger = triggers.describe(self._connection, row.id)
        if trigger is not None:
            info.trigger = trigger
        return info

    def repo_info(self, row: RepoRow, detailed: bool = False) -> Any:
        """Return the `RepoInfo` of a row."""
        size = self._repo_size(row.id)
        info = pfs.RepoInfo(
            repo=self.repo(row.id),
            created=moment(row.created),
            size_bytes_upper_bound=size,
            description=row.description,
            branches=[
                self.branch(found) for found in rows.branches(self._connection, "WHERE repo=? ORDER BY name", (row.id,))
            ],
            metadata=json.loads(row.metadata),
        )
        if detailed:
            info.details = pfs.RepoInfoDetails(size_bytes=size)
        return info

    def _repo_size(self, number: int) -> int:
        """Return the size in bytes of the newest finished commit on `master`, as pachd; 0 without one."""
        found = rows.branches(self._connection, "WHERE repo=? AND name='master'", (number,))
        commit: int | None = found[0].head if found else None
        while commit is not None:
            row = rows.commit_by_id(self._connection, commit)
            if row.finished is not None:
                return row.size
            commit = row.parent
        return 0

    def _branches(self, numbers: list[int]) -> list[Any]:
        return [self.branch(rows.branch_by_id(self._connection, number)) for number in numbers]


def reach(connection: SqlConnection, number: int, near: str, far: str) -> list[int]:
    """Return the provenance or subvenance of a branch, the nearest first, without the branch itself.

    Args:
        connection: the transaction.
        number: row id of the branch.
        near: column of ``branch_provenance`` to start from: ``downstream`` for provenance.
        far: column to follow: ``upstream`` for provenance.
    """
    found = [number]
    query = f"SELECT {far} FROM branch_provenance WHERE {near}=? ORDER BY {far}"
    for branch in found:
        found.extend(other for (other,) in connection.execute(query, (branch,)) if other not in found)
    return found[1:]
