"""Resolution of the ways in which requests name a commit: ids, branches, ancestry, aliases and pickers."""

from __future__ import annotations

from typing import Any, NamedTuple

import betterproto

from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.names import DEFAULT, USER, Reference, RepoName, is_set_id, parse_reference, reference
from pachyderm.store.status_errors import StatusError, commit_already_finished, commit_not_found

MAX_PICKER_DEPTH = 20


class ResolvedCommit(NamedTuple):
    """A commit that a request named.

    Attributes:
        row: the commit.
        alias: the request named a commit set in which the repo has no commit; `row` is the one that the set depends on.
    """

    row: CommitRow
    alias: bool


def commit(connection: SqlConnection, message: Any) -> ResolvedCommit:
    """Resolve a `Commit` message.

    Raises:
        StatusError: NOT_FOUND.
    """
    return commit_of_reference(connection, reference(message))


def commit_of_reference(connection: SqlConnection, ref: Reference, aliases: bool = True) -> ResolvedCommit:
    """Resolve a reference; with `aliases`, through the commit set's provenance if the repo has no commit in the set.

    Raises:
        StatusError: NOT_FOUND, or the ancestry goes beyond the first commit.
    """
    repo = rows.repo(connection, ref.repo)
    alias = False
    if is_set_id(ref.base):
        found = rows.commits(connection, 'WHERE repo=? AND "set"=?', (repo.id, ref.base))
        if not found and aliases and not ref.root:
            found = [row for row in rows.set_provenance(connection, ref.base) if row.repo == repo.id][-1:]
            alias = True
        if not found:
            raise commit_not_found(str(ref))
        row = found[0]
    else:
        row = rows.commit_by_id(connection, rows.branch(connection, ref.repo, ref.base).head)
    if ref.root:
        row = _from_root(connection, row, ref)
    return ResolvedCommit(_ancestor(connection, row, ref.up), alias)


def _from_root(connection: SqlConnection, head: CommitRow, ref: Reference) -> CommitRow:
    chain = [head]
    while chain[-1].parent is not None:
        chain.append(rows.commit_by_id(connection, chain[-1].parent))
    if ref.root > len(chain):
        raise StatusError(
            f"invalid offset from branch root for head commit: {rows.commit_name(connection, head)}, "
            f"offset: {ref.root - 1}, maximum depth: {len(chain)}"
        )
    return chain[-ref.root]


def _ancestor(connection: SqlConnection, row: CommitRow, steps: int) -> CommitRow:
    for traversed in range(steps):
        if row.parent is None:
            raise StatusError(
                f"invalid offset for ancestor of commit: {rows.commit_name(connection, row)}, "
                f"offset requested: {steps}, offset traversable: {traversed}"
            )
        row = rows.commit_by_id(connection, row.parent)
    return row


def commit_for_writing(connection: SqlConnection, message: Any) -> CommitRow:
    """Resolve a `Commit` message for a write.

    Aliases are refused. Seen on pachd 2.12: a write through an alias changes the older commit, if that is open.

    Raises:
        StatusError: NOT_FOUND; the commit is finished, or named through an alias.
    """
    resolved = commit(connection, message)
    name = rows.commit_name(connection, resolved.row)
    if resolved.row.finishing is not None:
        raise commit_already_finished(name)
    if resolved.alias:
        raise StatusError(f"commit {reference(message)} is an alias of {name}, which is not written through it")
    return resolved.row


def commit_of_picker(connection: SqlConnection, picker: Any) -> CommitRow:
    """Resolve a `CommitPicker` message; pickers know no aliases.

    Raises:
        StatusError: NOT_FOUND.
    """
    return commit_of_reference(connection, picker_reference(picker), aliases=False).row


def picker_reference(picker: Any, depth: int = 0) -> Reference:
    """Parse a `CommitPicker` message.

    Raises:
        StatusError: the picker is empty, or nested more than `MAX_PICKER_DEPTH` levels deep.
    """
    if depth > MAX_PICKER_DEPTH:
        raise StatusError("commit picker is nested too deeply")
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
            branch = value.branch.name
            return Reference(repo_name_of_picker(branch.repo), branch.name, value.offset + 1, 0)
    raise StatusError("commit picker cannot be nil")


def repo_name_of_picker(picker: Any) -> RepoName:
    """Parse a `RepoPicker` message.

    Raises:
        StatusError: the picker names no repo.
    """
    name = picker.name
    if not name.name:
        raise StatusError("repo picker cannot be nil")
    return RepoName(name.project.name or DEFAULT, name.name, name.type or USER)
