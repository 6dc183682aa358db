"""Typed rows of the commit graph, and the queries for repos, branches, commits and their provenance."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from pachyderm.store.names import RepoName
from pachyderm.store.status_errors import commit_not_found, not_found

COMMIT = (
    'commits.id, repo, "set", branch, origin, commits.description, parent, started, finishing, finished, error, size, '
    "commits.metadata, updated, tree, applied, fault"
)
BRANCH = "branches.id, repo, branches.name, head, branches.created, updated, branches.metadata"
REPO = "repos.id, projects.name, repos.name, type, repos.description, repos.created, repos.metadata"


class CommitRow(NamedTuple):
    """A commit; times in microseconds since 1970."""

    id: int
    repo: int
    set: str
    branch: str
    origin: int
    description: str
    parent: int | None
    started: int
    finishing: int | None
    finished: int | None
    error: str
    size: int
    metadata: str
    updated: int
    tree: bytes | None
    applied: int
    fault: str


class BranchRow(NamedTuple):
    """A branch; times in microseconds since 1970."""

    id: int
    repo: int
    name: str
    head: int
    created: int
    updated: int
    metadata: str


class RepoRow(NamedTuple):
    """A repo; times in microseconds since 1970."""

    id: int
    project: str
    name: str
    type: str
    description: str
    created: int
    metadata: str

    @property
    def full_name(self) -> RepoName:
        """Full name of the repo."""
        return RepoName(self.project, self.name, self.type)


SqlConnection = sqlite3.Connection


def repos(connection: SqlConnection, where: str = "1", values: Iterable[Any] = ()) -> list[RepoRow]:
    """Return the repos that satisfy a WHERE condition, by project, name and type."""
    query = (
        f"SELECT {REPO} FROM repos JOIN projects ON projects.id=project "
        f"WHERE {where} ORDER BY projects.name, repos.name, type"
    )
    return [RepoRow(*row) for row in connection.execute(query, tuple(values))]


def repo(connection: SqlConnection, name: RepoName) -> RepoRow:
    """Return the repo of this name.

    Raises:
        StatusError: NOT_FOUND.
    """
    found = find_repo(connection, name)
    if found is None:
        raise not_found(f"repo {name} not found")
    return found


def find_repo(connection: SqlConnection, name: RepoName) -> RepoRow | None:
    """Return the repo of this name, or None."""
    found = repos(connection, "projects.name=? AND repos.name=? AND type=?", name)
    return found[0] if found else None


def repo_by_id(connection: SqlConnection, number: int) -> RepoRow:
    """Return the repo with this row id.

    Raises:
        StatusError: NOT_FOUND.
    """
    found = repos(connection, "repos.id=?", (number,))
    if not found:
        raise not_found(f"repo (id={number}) not found")
    return found[0]


def commits(connection: SqlConnection, rest: str, values: Iterable[Any] = ()) -> list[CommitRow]:
    """Return commits; `rest` is the part of the query after ``FROM commits``."""
    return [CommitRow(*row) for row in connection.execute(f"SELECT {COMMIT} FROM commits {rest}", tuple(values))]


def commit_by_id(connection: SqlConnection, number: int) -> CommitRow:
    """Return the commit with this row id.

    Raises:
        StatusError: NOT_FOUND.
    """
    found = commits(connection, "WHERE id=?", (number,))
    if not found:
        raise commit_not_found(f"(int_id={number})")
    return found[0]


def branches(connection: SqlConnection, rest: str, values: Iterable[Any] = ()) -> list[BranchRow]:
    """Return branches; `rest` is the part of the query after ``FROM branches``."""
    return [BranchRow(*row) for row in connection.execute(f"SELECT {BRANCH} FROM branches {rest}", tuple(values))]


def branch_by_id(connection: SqlConnection, number: int) -> BranchRow:
    """Return the branch with this row id.

    Raises:
        StatusError: NOT_FOUND.
    """
    found = branches(connection, "WHERE id=?", (number,))
    if not found:
        raise not_found(f"branch (id={number}) not found")
    return found[0]


def find_branch(connection: SqlConnection, name: RepoName, branch: str) -> BranchRow | None:
    """Return the branch of this name, or None."""
    found = branches(
        connection,
        "WHERE name=? AND repo=(SELECT repos.id FROM repos JOIN projects ON projects.id=project "
        "WHERE projects.name=? AND repos.name=? AND type=?)",
        (branch, *name),
    )
    return found[0] if found else None


def branch(connection: SqlConnection, name: RepoName, branch_name: str) -> BranchRow:
    """Return the branch of this name.

    Raises:
        StatusError: NOT_FOUND.
    """
    found = find_branch(connection, name, branch_name)
    if found is None:
        raise not_found(f'branch "{branch_name}" not found in repo {name}')
    return found


def commit_name(connection: SqlConnection, row: CommitRow) -> str:
    """Return a commit's name as pachd prints it: ``project/repo@id``."""
    return f"{repo_by_id(connection, row.repo).full_name}@{row.set}"


class CommitRelation(NamedTuple):
    """How the commits of a repo and branch are related to a commit whose `CommitInfo` names them.

    Attributes:
        kind: ``parent``, ``child``, ``upstream`` or ``downstream`` of the commit.
        repo: row id of their repo.
        branch: name of the branch that they were made on; empty for none.
    """

    kind: str
    repo: int
    branch: str


def relatives(connection: SqlConnection, row: CommitRow) -> dict[CommitRelation, list[str]]:
    """Return the commits that a commit's `CommitInfo` names, as ids of their commit sets, the oldest first."""
    # One query: a list of commits asks this of each of them.
    query = """
        SELECT 'parent', repo, "set", branch, id FROM commits WHERE id=?2
        UNION ALL SELECT 'child', repo, "set", branch, id FROM commits WHERE parent=?1
        UNION ALL SELECT 'upstream', repo, "set", branch, id
          FROM commits JOIN commit_provenance ON upstream=id WHERE downstream=?1
        UNION ALL SELECT 'downstream', repo, "set", branch, id
          FROM commits JOIN commit_provenance ON downstream=id WHERE upstream=?1
        ORDER BY 5"""
    found: dict[CommitRelation, list[str]] = {}
    for kind, repo, set_id, branch, _ in connection.execute(query, (row.id, row.parent)):
        found.setdefault(CommitRelation(kind, repo, branch), []).append(set_id)
    return found


def set_provenance(connection: SqlConnection, set_id: str) -> list[CommitRow]:
    """Return the commits of other commit sets that this set depends on, directly or transitively, oldest first."""
    return _reach(connection, set_id, "downstream", "upstream")


def set_subvenance(connection: SqlConnection, set_id: str) -> list[CommitRow]:
    """Return the commits of other commit sets that depend on this set, directly or transitively, oldest first."""
    return _reach(connection, set_id, "upstream", "downstream")


def _reach(connection: SqlConnection, set_id: str, near: str, far: str) -> list[CommitRow]:
    return commits(
        connection,
        f"""WHERE "set"<>?1 AND id IN (
          WITH RECURSIVE reached(id) AS (
            SELECT {far} FROM commit_provenance JOIN commits AS own ON own.id={near} WHERE own."set"=?1
            UNION SELECT {far} FROM reached JOIN commit_provenance ON {near}=reached.id)
          SELECT id FROM reached) ORDER BY id""",
        (set_id,),
    )


def direct_provenance(connection: SqlConnection, number: int) -> list[CommitRow]:
    """Return the commits that a commit depends on directly."""
    return commits(connection, "JOIN commit_provenance ON upstream=id WHERE downstream=? ORDER BY id", (number,))


def direct_subvenance(connection: SqlConnection, number: int) -> list[CommitRow]:
    """Return the commits that depend on a commit directly."""
    return commits(connection, "JOIN commit_provenance ON downstream=id WHERE upstream=? ORDER BY id", (number,))


def children(connection: SqlConnection, number: int) -> list[CommitRow]:
    """Return the commits whose parent is this commit."""
    return commits(connection, "WHERE parent=? ORDER BY id", (number,))
