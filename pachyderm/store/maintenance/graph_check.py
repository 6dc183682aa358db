"""Consistency checks of the commit graph; they need no objects."""

from __future__ import annotations

from collections.abc import Iterator

from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph.infos import reach
from pachyderm.store.graph.materialize import FORGOTTEN, base_of, current

GraphProblem = tuple[str, str, str]
"""Code, where, what."""


def graph_problems(connection: SqlConnection) -> Iterator[GraphProblem]:
    """Yield every violation of the rules of the commit graph."""
    commits = {row.id: row for row in rows.commits(connection, "ORDER BY id")}
    repos = {row.id: row for row in rows.repos(connection)}

    def name(row: CommitRow) -> str:
        return f"commit {repos[row.repo].full_name}@{row.set}"

    for row in commits.values():
        for what in _commit(connection, row, commits):
            yield "GRAPH", name(row), what
        if row.finishing is not None and row.finished is None and (row.error or base_of(connection, row).ready):
            yield "STUCK", name(row), "is finishing and waits for nothing"
    query = "SELECT downstream, upstream FROM commit_provenance"
    for downstream, upstream in connection.execute(query).fetchall():
        if upstream >= downstream:
            yield "GRAPH", name(commits[downstream]), f"depends on a newer commit, {name(commits[upstream])}"
    yield from _branches(connection, commits)


def _commit(connection: SqlConnection, row: CommitRow, commits: dict[int, CommitRow]) -> Iterator[str]:
    if row.parent is not None:
        parent = commits[row.parent]
        if parent.repo != row.repo:
            yield "has a parent in another repo"
        if parent.id >= row.id:
            yield "has a parent that is newer"
    if row.finished is not None and row.finishing is None:
        yield "is finished and was never finishing"
    if row.finished is not None and not row.error:
        if row.applied != FORGOTTEN and not current(connection, row):
            yield "is finished without its last writes"
        base = base_of(connection, row)
        if not base.ready:
            yield "was finished before the commit that it starts from"
        if row.fault:
            yield f"is finished without an error, but: {row.fault}"


def _branches(connection: SqlConnection, commits: dict[int, CommitRow]) -> Iterator[GraphProblem]:
    for branch in rows.branches(connection, "ORDER BY id"):
        where = f"branch {rows.repo_by_id(connection, branch.repo).full_name}@{branch.name}"
        if commits[branch.head].repo != branch.repo:
            yield "GRAPH", where, "has a head in another repo"
        upstream = reach(connection, branch.id, "downstream", "upstream")
        if branch.id in upstream or branch.id in reach(connection, branch.id, "upstream", "downstream"):
            yield "GRAPH", where, "is in its own provenance"
        if branch.repo in {rows.branch_by_id(connection, number).repo for number in upstream}:
            yield "GRAPH", where, "has its own repo in its provenance"
