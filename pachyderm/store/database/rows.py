"""The rows of the commit graph: repos, branches and commits, found by name.

It exists so that every part of the store resolves names alike, aliases and ancestry included.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NamedTuple

from pachyderm.store.names import Reference, RepoName, is_set_id, parse_reference, reference
from pachyderm.store.refusals import Refusal, commit_missing, missing

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
        """The repo's name."""
        return RepoName(self.project, self.name, self.type)


SqlConnection = sqlite3.Connection


def repos(connection: SqlConnection, where: str = "1", values: Iterable[Any] = ()) -> list[RepoRow]:
    """Repos in order of project and name."""
    query = (
        f"SELECT {REPO} FROM repos JOIN projects ON projects.id=project "
        f"WHERE {where} ORDER BY projects.name, repos.name, type"
    )
    return [RepoRow(*row) for row in connection.execute(query, tuple(values))]


def repo(connection: SqlConnection, name: RepoName) -> RepoRow:
    """The repo of this name.

    Raises:
        Refusal: NOT_FOUND.
    """
    found = find_repo(connection, name)
    if found is None:
        raise missing(f"repo {name} not found")
    return found


def find_repo(connection: SqlConnection, name: RepoName) -> RepoRow | None:
    """The repo of this name, if there is one."""
    found = repos(connection, "projects.name=? AND repos.name=? AND type=?", name)
    return found[0] if found else None


def repo_by_id(connection: SqlConnection, number: int) -> RepoRow:
    """The repo of this row."""
    found = repos(connection, "repos.id=?", (number,))
    if not found:
        raise missing(f"repo (id={number}) not found")
    return found[0]


def commits(connection: SqlConnection, rest: str, values: Iterable[Any] = ()) -> list[CommitRow]:
    """Commits; `rest` follows FROM commits."""
    return [CommitRow(*row) for row in connection.execute(f"SELECT {COMMIT} FROM commits {rest}", tuple(values))]


def commit_by_id(connection: SqlConnection, number: int) -> CommitRow:
    """The commit of this row.

    Raises:
        Refusal: NOT_FOUND.
    """
    found = commits(connection, "WHERE id=?", (number,))
    if not found:
        raise commit_missing(f"(int_id={number})")
    return found[0]


def branches(connection: SqlConnection, rest: str, values: Iterable[Any] = ()) -> list[BranchRow]:
    """Branches; `rest` follows FROM branches."""
    return [BranchRow(*row) for row in connection.execute(f"SELECT {BRANCH} FROM branches {rest}", tuple(values))]


def branch_by_id(connection: SqlConnection, number: int) -> BranchRow:
    """The branch of this row."""
    found = branches(connection, "WHERE id=?", (number,))
    if not found:
        raise missing(f"branch (id={number}) not found")
    return found[0]


def find_branch(connection: SqlConnection, name: RepoName, branch: str) -> BranchRow | None:
    """The branch of this name, if there is one."""
    found = branches(
        connection,
        "WHERE name=? AND repo=(SELECT repos.id FROM repos JOIN projects ON projects.id=project "
        "WHERE projects.name=? AND repos.name=? AND type=?)",
        (branch, *name),
    )
    return found[0] if found else None


def branch(connection: SqlConnection, name: RepoName, wanted: str) -> BranchRow:
    """The branch of this name.

    Raises:
        Refusal: NOT_FOUND.
    """
    found = find_branch(connection, name, wanted)
    if found is None:
        raise missing(f'branch "{wanted}" not found in repo {name}')
    return found


def commit_name(connection: SqlConnection, row: CommitRow) -> str:
    """A commit as pachd prints it: ``project/repo@id``."""
    return f"{repo_by_id(connection, row.repo).full_name}@{row.set}"


class Picked(NamedTuple):
    """A commit that a request named.

    Attributes:
        row: the commit.
        alias: the request named another commit set, in which the repo has no commit of its own.
    """

    row: CommitRow
    alias: bool


def pick(connection: SqlConnection, message: Any) -> Picked:
    """The commit that a `Commit` message names.

    Raises:
        Refusal: NOT_FOUND.
    """
    return pick_reference(connection, reference(message))


def pick_reference(connection: SqlConnection, wanted: Reference, aliases: bool = True) -> Picked:
    """The commit that a reference names, through the provenance of the set where the repo has none of its own."""
    owner = repo(connection, wanted.repo)
    alias = False
    if is_set_id(wanted.base):
        found = commits(connection, 'WHERE repo=? AND "set"=?', (owner.id, wanted.base))
        if not found and aliases and not wanted.root:
            found = [row for row in set_provenance(connection, wanted.base) if row.repo == owner.id][-1:]
            alias = True
        if not found:
            raise commit_missing(str(wanted))
        row = found[0]
    else:
        row = commit_by_id(connection, branch(connection, wanted.repo, wanted.base).head)
    if wanted.root:
        row = _from_root(connection, row, wanted)
    for done in range(wanted.up):
        if row.parent is None:
            name = commit_name(connection, row)
            raise Refusal(
                f"invalid offset for ancestor of commit: {name}, "
                f"offset requested: {wanted.up}, offset traversable: {done}"
            )
        row = commit_by_id(connection, row.parent)
    return Picked(row, alias)


def pick_for_writing(connection: SqlConnection, message: Any) -> CommitRow:
    """The commit that a request wants to write to; an alias is never written to.

    Raises:
        Refusal: NOT_FOUND, finished, or an alias.
    """
    picked = pick(connection, message)
    name = commit_name(connection, picked.row)
    if picked.row.finishing is not None:
        raise Refusal(f"commit {name} has already finished")
    if picked.alias:
        raise Refusal(f"commit {reference(message)} is an alias of {name}, which is not written through it")
    return picked.row


def pick_with_picker(connection: SqlConnection, picker: Any) -> CommitRow:
    """The commit that a `CommitPicker` names; aliases do not count.

    Raises:
        Refusal: NOT_FOUND.
    """
    return pick_reference(connection, picker_reference(picker), aliases=False).row


def picker_reference(picker: Any, depth: int = 0) -> Reference:
    """Read a `CommitPicker` message."""
    import betterproto

    if depth > 20:
        raise Refusal("commit picker is nested too deeply")
    kind, value = betterproto.which_one_of(picker, "picker")
    match kind:
        case "branch_head":
            return Reference(repo_name_of_picker(value.name.repo), value.name.name, 0, 0)
        case "id":
            return parse_reference(repo_name_of_picker(value.repo), value.id)
        case "ancestor":
            start = picker_reference(value.start, depth + 1)
            return start._replace(up=start.up + value.offset)
        case "branch_root":
            named = value.branch.name
            return Reference(repo_name_of_picker(named.repo), named.name, value.offset + 1, 0)
    raise Refusal("commit picker cannot be nil")


def repo_name_of_picker(picker: Any) -> RepoName:
    """Read a `RepoPicker` message."""
    named = picker.name
    if not named.name:
        raise Refusal("repo picker cannot be nil")
    return RepoName(named.project.name or "default", named.name, named.type or "user")


def _from_root(connection: SqlConnection, head: CommitRow, wanted: Reference) -> CommitRow:
    chain = [head]
    while chain[-1].parent is not None:
        chain.append(commit_by_id(connection, chain[-1].parent))
    if wanted.root > len(chain):
        raise Refusal(
            f"invalid offset from branch root for head commit: {commit_name(connection, head)}, "
            f"offset: {wanted.root - 1}, maximum depth: {len(chain)}"
        )
    return chain[-wanted.root]


def set_provenance(connection: SqlConnection, set_id: str) -> list[CommitRow]:
    """Commits of other sets that a set's commits depend on, directly or not, oldest first."""
    return _reach(connection, set_id, "downstream", "upstream")


def set_subvenance(connection: SqlConnection, set_id: str) -> list[CommitRow]:
    """Commits of other sets that depend on a set's commits, directly or not, oldest first."""
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
    """Commits that a commit depends on directly."""
    return commits(connection, "JOIN commit_provenance ON upstream=id WHERE downstream=? ORDER BY id", (number,))


def direct_subvenance(connection: SqlConnection, number: int) -> list[CommitRow]:
    """Commits that depend on a commit directly."""
    return commits(connection, "JOIN commit_provenance ON downstream=id WHERE upstream=? ORDER BY id", (number,))


def children(connection: SqlConnection, number: int) -> list[CommitRow]:
    """Commits whose parent is this one."""
    return commits(connection, "WHERE parent=? ORDER BY id", (number,))
