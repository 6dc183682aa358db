"""Branches: creation, heads, provenance, listing and deletion, by pachd's rules.

Provenance between branches is what makes pachd open output commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import betterproto
import grpc

from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import BranchRow, RepoRow, SqlConnection
from pachyderm.store.graph import triggers
from pachyderm.store.graph.forget import check_head
from pachyderm.store.graph.graph_update import AUTO, GraphUpdate
from pachyderm.store.graph.infos import Infos, reach
from pachyderm.store.names import RepoName, check_branch_name, repo_name
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, not_found


def named(message: Any) -> tuple[RepoName, str]:
    """Return the repo and the name in a `Branch` message.

    Raises:
        StatusError: one of them is missing.
    """
    if not message.name and not message.repo.name:
        raise StatusError("branch cannot be nil")
    if not message.repo.name:
        raise StatusError("branch repo cannot be nil")
    return repo_name(message.repo), message.name


def create(update: GraphUpdate, request: Any) -> None:
    """Create a branch, or change its head, provenance and trigger, as a `CreateBranchRequest` says.

    Raises:
        StatusError: as pachd.
    """
    owner, name = named(request.branch)
    connection = update.connection
    triggered = betterproto.serialized_on_wire(request.trigger)
    if triggered:
        triggers.check(connection, owner, name, request.trigger)
        if request.provenance:
            raise StatusError("a branch cannot have both provenance and a trigger")
    upstream = [named(message) for message in request.provenance]
    never = _never_propagating(request, upstream)
    for _, branch in [*upstream, (owner, name)]:
        check_branch_name(branch)
    repo = _repo(connection, owner)
    for upstream_branch in upstream:
        _create_if_missing(update, *upstream_branch)
    requested = _requested_head(update, request.head, owner)
    if any(upstream_repo == owner for upstream_repo, _ in upstream):
        raise StatusError(f"repo {owner} cannot be in the provenance of its own branch")
    provenance = list(dict.fromkeys(rows.branch(connection, *branch).id for branch in upstream))
    head, moved = _new_head(update, repo.id, rows.find_branch(connection, owner, name), name, requested, provenance)
    number = ensure(update, repo.id, name, head)
    _check_acyclic(connection, number, f"{owner}@{name}", provenance)
    _set_provenance(connection, number, provenance, {rows.branch(connection, *branch).id for branch in never})
    if triggered:
        triggers.put(connection, owner, rows.branch_by_id(connection, number), request.trigger)
    if moved:
        update.move(number)


def _never_propagating(request: Any, upstream: list[tuple[RepoName, str]]) -> list[tuple[RepoName, str]]:
    """Return the upstream branches whose changes must not open commits on the branch."""
    never = []
    for spec in request.branch_propagation_specs:
        branch = named(spec.branch)
        if branch not in upstream:
            raise StatusError(
                f"branch propagation spec must reference provenant branch (referenced branch: {branch[0]}@{branch[1]})"
            )
        if spec.propagation_spec.never:
            never.append(branch)
    return never


def _repo(connection: SqlConnection, owner: RepoName) -> RepoRow:
    """Return the repo of a new branch; pachd's text for a missing one differs from that of other requests."""
    found = rows.find_repo(connection, owner)
    if found is None:
        raise not_found(f"repo (id=0, project={owner.project}, name={owner.name}, type={owner.type}) not found")
    return found


def _create_if_missing(update: GraphUpdate, owner: RepoName, name: str) -> None:
    if rows.find_branch(update.connection, owner, name) is not None:
        return
    repo = rows.repo(update.connection, owner).id
    own = rows.commits(update.connection, 'WHERE repo=? AND "set"=?', (repo, update.set_id))
    head = own[0] if own else update.create_commit(repo, name, AUTO, parent=None, provenance=[], closed=True)
    ensure(update, repo, name, head.id)


def _requested_head(update: GraphUpdate, message: Any, owner: RepoName) -> int | None:
    if not betterproto.serialized_on_wire(message):
        return None
    if not (message.id or message.branch.name or message.repo.name):
        return None
    row = resolve.commit(update.connection, message).row
    if rows.repo_by_id(update.connection, row.repo).full_name != owner:
        raise StatusError("branch and head commit must belong to the same repo")
    check_head(update.connection, row)
    return row.id


def _new_head(
    update: GraphUpdate, repo: int, before: BranchRow | None, name: str, requested: int | None, provenance: list[int]
) -> tuple[int, bool]:
    """Return the branch's head and whether it moved; new provenance, or a branch without a head, opens a commit."""
    connection = update.connection
    old_provenance: set[int] = set()
    head = requested
    if before is not None:
        query = "SELECT upstream FROM branch_provenance WHERE downstream=?"
        old_provenance = {upstream for (upstream,) in connection.execute(query, (before.id,))}
        head = before.head if requested is None else requested
    if head is not None and (not provenance or old_provenance == set(provenance)):
        return head, requested is not None
    heads = [rows.branch_by_id(connection, number).head for number in provenance]
    commit = update.create_commit(repo, name, AUTO, parent=head, provenance=heads, closed=not provenance)
    return commit.id, True


def _check_acyclic(connection: SqlConnection, number: int, name: str, provenance: list[int]) -> None:
    subvenance = set(reach(connection, number, "upstream", "downstream"))
    for upstream in provenance:
        if upstream in subvenance:
            branch = rows.branch_by_id(connection, upstream)
            target = f"{rows.repo_by_id(connection, branch.repo).full_name}@{branch.name}"
            raise StatusError(
                f"cycle detected because {target} is already in the subvenance of {name}", grpc.StatusCode.INTERNAL
            )


def _set_provenance(connection: SqlConnection, number: int, provenance: list[int], never: set[int]) -> None:
    connection.execute("DELETE FROM branch_provenance WHERE downstream=?", (number,))
    connection.executemany(
        "INSERT INTO branch_provenance VALUES (?, ?, ?)",
        ((number, upstream, upstream in never) for upstream in provenance),
    )


def ensure(update: GraphUpdate, repo: int, name: str, head: int) -> int:
    """Create a branch with this head, or move it there; return its row id."""
    update.connection.execute(
        "INSERT INTO branches VALUES (NULL, ?, ?, ?, ?, ?, '{}') "
        "ON CONFLICT (repo, name) DO UPDATE SET head=excluded.head, updated=excluded.updated",
        (repo, name, head, update.now, update.now),
    )
    row = update.connection.execute("SELECT id FROM branches WHERE repo=? AND name=?", (repo, name)).fetchone()
    return int(row[0])


def inspect(engine: Engine, request: Any) -> Any:
    """Return the `BranchInfo` of a branch."""
    with engine.database.reading() as connection:
        return Infos(connection).branch_info(rows.branch(connection, *named(request.branch)))


def listed(engine: Engine, request: Any) -> Iterator[Any]:
    """Yield the `BranchInfo` of a repo's branches, or of all branches, the newest first."""
    with engine.database.reading() as connection:
        order = "ASC" if request.reverse else "DESC"
        if request.repo.name:
            repo = rows.repo(connection, repo_name(request.repo))
            found = rows.branches(connection, f"WHERE repo=? ORDER BY created {order}, id {order}", (repo.id,))
        else:
            found = rows.branches(connection, f"ORDER BY created {order}, id {order}")
        infos = Infos(connection)
        messages = [infos.branch_info(row) for row in found]
    yield from messages


def delete(update: GraphUpdate, row: BranchRow, force: bool) -> None:
    """Delete a branch; its commits stay.

    Raises:
        StatusError: other branches depend on it and `force` is false.
    """
    connection = update.connection
    downstream = connection.execute("SELECT downstream FROM branch_provenance WHERE upstream=?", (row.id,)).fetchall()
    if downstream and not force:
        infos = Infos(connection)
        names = " ".join(str(infos.branch(rows.branch_by_id(connection, number))) for (number,) in downstream)
        raise StatusError(
            f'branch "{infos.branch(row)}" cannot be deleted because it\'s in the direct provenance of [{names}]'
        )
    triggers.remove(connection, row, str(Infos(connection).branch(row)), force)
    connection.execute("DELETE FROM branch_provenance WHERE downstream=?1 OR upstream=?1", (row.id,))
    connection.execute("DELETE FROM branches WHERE id=?", (row.id,))


def walk(engine: Engine, request: Any, near: str, far: str) -> Iterator[Any]:
    """Yield the `BranchInfo` of the provenance or subvenance of branches, the nearest first.

    Args:
        engine: the store.
        request: a request that walks branches.
        near: column of ``branch_provenance`` to start from: ``downstream`` for provenance.
        far: column to follow: ``upstream`` for provenance.
    """
    with engine.database.reading() as connection:
        infos = Infos(connection)
        messages: list[Any] = []
        for picker in request.start:
            start = rows.branch(connection, resolve.repo_name_of_picker(picker.name.repo), picker.name.name)
            found = reach(connection, start.id, near, far)[: request.max_branches or None]
            messages.extend(infos.branch_info(rows.branch_by_id(connection, number)) for number in found)
    yield from messages
