"""Branches: made, moved, listed, deleted, with pachd's rules about provenance.

It exists because provenance between branches is what makes pachd open the output commits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import betterproto
import grpc

from pachyderm.store.database import rows
from pachyderm.store.database.rows import BranchRow, CommitRow
from pachyderm.store.graph import triggers
from pachyderm.store.graph.forget import check_head
from pachyderm.store.graph.infos import Infos, reach
from pachyderm.store.graph.update import AUTO, GraphUpdate
from pachyderm.store.names import RepoName, check_branch_name, repo_name
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal, missing


def named(message: Any) -> tuple[RepoName, str]:
    """The repo and the name in a `Branch` message.

    Raises:
        Refusal: one of them is missing.
    """
    if not message.name and not message.repo.name:
        raise Refusal("branch cannot be nil")
    if not message.repo.name:
        raise Refusal("branch repo cannot be nil")
    return repo_name(message.repo), message.name


def create(work: GraphUpdate, request: Any) -> None:
    """Make a branch, or change its head and its provenance.

    Raises:
        Refusal: as pachd.
    """
    owner, name = named(request.branch)
    connection = work.connection
    triggered = betterproto.serialized_on_wire(request.trigger)
    if triggered:
        triggers.check(connection, owner, name, request.trigger)
        if request.provenance:
            raise Refusal("a branch cannot have both provenance and a trigger")
    upstream = [named(message) for message in request.provenance]
    never = _never(request, upstream)
    for _, branch in [*upstream, (owner, name)]:
        check_branch_name(branch)
    repo = _repo(connection, owner)
    for above in upstream:
        _fill(work, *above)
    head = _head(work, request.head, owner)
    before = rows.find_branch(connection, owner, name)
    if any(above == owner for above, _ in upstream):
        raise Refusal(f"repo {owner} cannot be in the provenance of its own branch")
    wanted = list(dict.fromkeys(rows.branch(connection, *above).id for above in upstream))
    old = [] if before is None else _direct(work, before.id)
    moved = head is not None
    if head is None and before is not None:
        head = rows.commit_by_id(connection, before.head)
    if head is None or (wanted and set(old) != set(wanted)):
        heads = [rows.branch_by_id(connection, number).head for number in wanted]
        head = work.create_commit(
            repo.id, name, AUTO, parent=head.id if head else None, provenance=heads, closed=not wanted
        )
        moved = True
    number = _store(work, repo.id, name, head.id)
    below = set(reach(connection, number, "upstream", "downstream"))
    for number_above in wanted:
        if number_above in below:
            to = rows.branch_by_id(connection, number_above)
            target = f"{rows.repo_by_id(connection, to.repo).full_name}@{to.name}"
            raise Refusal(
                f"cycle detected because {target} is already in the subvenance of {owner}@{name}",
                grpc.StatusCode.INTERNAL,
            )
    connection.execute("DELETE FROM branch_provenance WHERE downstream=?", (number,))
    connection.executemany(
        "INSERT INTO branch_provenance VALUES (?, ?, ?)",
        ((number, above, above in never(connection)) for above in wanted),
    )
    if triggered:
        triggers.put(connection, owner, rows.branch_by_id(connection, number), request.trigger)
    if moved:
        work.move(number)


def _repo(connection: rows.SqlConnection, owner: RepoName) -> rows.RepoRow:
    """The repo that a branch is created in; pachd words its absence differently here than elsewhere."""
    found = rows.find_repo(connection, owner)
    if found is None:
        raise missing(f"repo (id=0, project={owner.project}, name={owner.name}, type={owner.type}) not found")
    return found


def _never(request: Any, upstream: list[tuple[RepoName, str]]) -> Any:
    refused = []
    for spec in request.branch_propagation_specs:
        branch = named(spec.branch)
        if branch not in upstream:
            raise Refusal(
                f"branch propagation spec must reference provenant branch (referenced branch: {branch[0]}@{branch[1]})"
            )
        if spec.propagation_spec.never:
            refused.append(branch)
    return lambda connection: {rows.branch(connection, *branch).id for branch in refused}


def _head(work: GraphUpdate, message: Any, owner: RepoName) -> CommitRow | None:
    if not betterproto.serialized_on_wire(message):
        return None
    if not (message.id or message.branch.name or message.repo.name):
        return None
    picked = rows.pick(work.connection, message)
    if rows.repo_by_id(work.connection, picked.row.repo).full_name != owner:
        raise Refusal("branch and head commit must belong to the same repo")
    check_head(work.connection, picked.row)
    return picked.row


def _fill(work: GraphUpdate, owner: RepoName, name: str) -> None:
    if rows.find_branch(work.connection, owner, name) is not None:
        return
    repo = rows.repo(work.connection, owner).id
    own = rows.commits(work.connection, 'WHERE repo=? AND "set"=?', (repo, work.set_id))
    head = own[0] if own else work.create_commit(repo, name, AUTO, parent=None, provenance=[], closed=True)
    _store(work, repo, name, head.id)


def _direct(work: GraphUpdate, number: int) -> list[int]:
    found = work.connection.execute("SELECT upstream FROM branch_provenance WHERE downstream=?", (number,))
    return [above for (above,) in found]


def _store(work: GraphUpdate, repo: int, name: str, head: int) -> int:
    work.connection.execute(
        "INSERT INTO branches VALUES (NULL, ?, ?, ?, ?, ?, '{}') "
        "ON CONFLICT (repo, name) DO UPDATE SET head=excluded.head, updated=excluded.updated",
        (repo, name, head, work.now, work.now),
    )
    row = work.connection.execute("SELECT id FROM branches WHERE repo=? AND name=?", (repo, name)).fetchone()
    return int(row[0])


def ensure(work: GraphUpdate, repo: int, name: str, head: int) -> int:
    """Make a branch with this head, or move it there; returns its row."""
    return _store(work, repo, name, head)


def inspect(engine: Engine, request: Any) -> Any:
    """The `BranchInfo` of a branch."""
    with engine.database.reading() as connection:
        return Infos(connection).branch_info(rows.branch(connection, *named(request.branch)))


def listed(engine: Engine, request: Any) -> Iterator[Any]:
    """The `BranchInfo` of a repo's branches, or of all, the newest first."""
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


def delete(work: GraphUpdate, row: BranchRow, force: bool) -> None:
    """Delete a branch; its commits stay.

    Raises:
        Refusal: others depend on it and `force` is not set.
    """
    connection = work.connection
    below = connection.execute("SELECT downstream FROM branch_provenance WHERE upstream=?", (row.id,)).fetchall()
    if below and not force:
        infos = Infos(connection)
        names = " ".join(str(infos.branch(rows.branch_by_id(connection, number))) for (number,) in below)
        raise Refusal(
            f'branch "{infos.branch(row)}" cannot be deleted because it\'s in the direct provenance of [{names}]'
        )
    triggers.remove(connection, row, str(Infos(connection).branch(row)), force)
    connection.execute("DELETE FROM branch_provenance WHERE downstream=?1 OR upstream=?1", (row.id,))
    connection.execute("DELETE FROM branches WHERE id=?", (row.id,))


def walk(engine: Engine, request: Any, near: str, far: str) -> Iterator[Any]:
    """The `BranchInfo` of what branches depend on, or of what depends on them, the nearest first."""
    with engine.database.reading() as connection:
        infos = Infos(connection)
        messages: list[Any] = []
        for picker in request.start:
            start = rows.branch(connection, rows.repo_name_of_picker(picker.name.repo), picker.name.name)
            found = reach(connection, start.id, near, far)[: request.max_branches or None]
            messages.extend(infos.branch_info(rows.branch_by_id(connection, number)) for number in found)
    yield from messages
