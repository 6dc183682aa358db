"""Commit sets, and the removal of commits: dropped with their data, or squashed into their children."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pachyderm.protocol.protobuf import message as new_message
from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph.forget import check_head
from pachyderm.store.graph.graph_update import AUTO, GraphUpdate
from pachyderm.store.graph.infos import Infos
from pachyderm.store.graph.materialize import base_of, current, materialize
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, not_found


def members(connection: SqlConnection, set_id: str) -> list[CommitRow]:
    """Return the commits of a commit set and their aliases in topological order: provenance first.

    Raises:
        StatusError: NOT_FOUND if the commit set has no commits.
    """
    own = rows.commits(connection, 'WHERE "set"=? ORDER BY id', (set_id,))
    if not own:
        raise not_found(f"no commits found for commitset {set_id}")
    found = {row.id: row for row in [*rows.set_provenance(connection, set_id), *own]}
    order: dict[int, CommitRow] = {}

    def visit(row: CommitRow) -> None:
        if row.id in order:
            return
        for upstream in rows.direct_provenance(connection, row.id):
            if upstream.id in found:
                visit(upstream)
        order[row.id] = row

    for row in found.values():
        visit(row)
    return list(order.values())


def inspect(engine: Engine, set_id: str) -> list[tuple[CommitRow, bytes]]:
    """Return row and serialized `CommitInfo` of every member of a commit set."""
    with engine.database.reading() as connection:
        infos = Infos(connection)
        return [(row, infos.commit_info(row)) for row in members(connection, set_id)]


def listed(engine: Engine, request: Any) -> Iterator[Any]:
    """Yield the `CommitSetInfo` of all commit sets, the one with the newest commit first."""
    project = request.project.name or None
    with engine.database.reading() as connection:
        sets = connection.execute(
            'SELECT "set" FROM commits JOIN repos ON repos.id=repo JOIN projects ON projects.id=project '
            'WHERE ?1 IS NULL OR projects.name=?1 GROUP BY "set" ORDER BY max(commits.id) DESC',
            (project,),
        ).fetchall()
    for (set_id,) in sets:
        with engine.database.reading() as connection:
            if not rows.commits(connection, 'WHERE "set"=? LIMIT 1', (set_id,)):
                continue
            infos = Infos(connection)
            messages = [infos.commit_info(row) for row in members(connection, set_id)]
        yield _set_info(set_id, messages)


def _set_info(set_id: str, commit_infos: list[bytes]) -> bytes:
    """Serialize the `CommitSetInfo` of a commit set from the serialized `CommitInfo` of its members."""
    info = new_message("CommitSetInfo", commit_set={"id": set_id})
    for commit_info in commit_infos:
        info.commits.add().MergeFromString(commit_info)
    serialized: bytes = info.SerializeToString()
    return serialized


def drop_set(update: GraphUpdate, set_id: str) -> None:
    """Remove a commit set with its data; a missing commit set is not an error.

    Raises:
        StatusError: other commit sets depend on it, or one of its commits has children.
    """
    own = _removable(update, set_id)
    _refuse_children(update, own)
    _delete_all(update, own)


def squash_set(update: GraphUpdate, set_id: str) -> None:
    """Remove a commit set; its data stays in the children of its commits. A missing commit set is not an error.

    Raises:
        StatusError: other commit sets depend on it, or one of its commits has no children.
    """
    own = _removable(update, set_id)
    _refuse_childless(update, own)
    _delete_all(update, own)


def drop(update: GraphUpdate, message: Any, recursive: bool) -> None:
    """Remove a commit with its data, and with `recursive` its subvenance.

    Raises:
        StatusError: the commit has subvenance and `recursive` is false, or a commit to remove has children.
    """
    own = _with_subvenance(update, message, recursive, "drop")
    _refuse_children(update, own)
    _delete_all(update, own)


def squash(update: GraphUpdate, message: Any, recursive: bool) -> None:
    """Remove a commit, and with `recursive` its subvenance; their data stays in their children.

    Raises:
        StatusError: the commit has subvenance and `recursive` is false, or a commit to remove has no children.
    """
    own = _with_subvenance(update, message, recursive, "squash")
    _refuse_childless(update, own)
    _delete_all(update, own)


def _removable(update: GraphUpdate, set_id: str) -> list[CommitRow]:
    subvenant = sorted({row.set for row in rows.set_subvenance(update.connection, set_id)})
    if subvenant:
        names = " ".join(f'id:"{other}"' for other in subvenant)
        raise StatusError(
            f'commit set "id:\\"{set_id}\\"" cannot be dropped because it has subvenant commit sets: [{names}]'
        )
    return rows.commits(update.connection, 'WHERE "set"=? ORDER BY id', (set_id,))


def _with_subvenance(update: GraphUpdate, message: Any, recursive: bool, verb: str) -> list[CommitRow]:
    resolved = resolve.commit(update.connection, message)
    name = rows.commit_name(update.connection, resolved.row)
    if resolved.alias:
        raise StatusError(f"cannot {verb} commit through its alias; name {name}")
    found = {resolved.row.id: resolved.row}
    pending = [resolved.row]
    while pending:
        for downstream in rows.direct_subvenance(update.connection, pending.pop().id):
            if downstream.id not in found:
                found[downstream.id] = downstream
                pending.append(downstream)
    if len(found) > 1 and not recursive:
        raise StatusError(f"cannot {verb} commit ({name}) with subvenance without recursive")
    return [found[number] for number in sorted(found)]


def _refuse_children(update: GraphUpdate, own: list[CommitRow]) -> None:
    for row in own:
        if rows.children(update.connection, row.id):
            raise StatusError(f"cannot drop a commit that has children: {rows.commit_name(update.connection, row)}")


def _refuse_childless(update: GraphUpdate, own: list[CommitRow]) -> None:
    for row in own:
        if not rows.children(update.connection, row.id):
            raise StatusError(
                "cannot squash a commit that has no children as that would cause data loss, "
                f"use the drop operation instead: {rows.commit_name(update.connection, row)}"
            )


def _delete_all(update: GraphUpdate, own: list[CommitRow]) -> None:
    """Delete commits in the order of creation.

    An empty commit that replaces a branch's first one depends on the upstream heads, which must have been replaced.
    """
    for row in own:
        _delete(update, rows.commit_by_id(update.connection, row.id))


def _delete(update: GraphUpdate, row: CommitRow) -> None:
    connection = update.connection
    for child in rows.children(connection, row.id):
        if child.finished is None:
            suffix = "" if child.finishing is None else ", consider using WaitCommit"
            name = rows.commit_name(connection, child)
            raise StatusError(f"cannot squash until child commit {name} is finished{suffix}")
        _keep_files(update, row, child)
    _move_heads(update, row)
    remove(connection, row)


def _move_heads(update: GraphUpdate, row: CommitRow) -> None:
    """Move the branches that point at a commit to its parent; those of a first commit get a new empty one."""
    connection = update.connection
    heads = rows.branches(connection, "WHERE head=? ORDER BY id", (row.id,))
    if heads and row.parent is not None:
        check_head(connection, rows.commit_by_id(connection, row.parent))
        for branch in heads:
            update.set_head(branch.id, row.parent)
    elif heads:
        upstream = connection.execute(
            "SELECT head FROM branch_provenance JOIN branches ON id=upstream WHERE downstream=? ORDER BY upstream",
            (heads[0].id,),
        ).fetchall()
        empty = update.create_commit(
            row.repo,
            heads[0].name,
            AUTO,
            parent=None,
            provenance=[head for (head,) in upstream],
            closed=not upstream,
        )
        for branch in heads:
            update.set_head(branch.id, empty.id)


def _keep_files(update: GraphUpdate, row: CommitRow, child: CommitRow) -> None:
    """Keep the files that a child has from the commit to delete.

    A finished child has a tree that includes them; for any other one the tree is computed now, or, if its base is
    unfinished, the commit's writes are prepended to its own.
    """
    connection = update.connection
    if current(connection, child):
        return
    if base_of(connection, child).ready:
        materialize(update.engine, connection, child)
    elif not row.error:
        query = 'SELECT fileset FROM layers WHERE "commit"=? ORDER BY number'
        own = [connection.execute(query, (number,)).fetchall() for number in (row.id, child.id)]
        connection.execute('DELETE FROM layers WHERE "commit"=?', (child.id,))
        connection.executemany(
            "INSERT INTO layers VALUES (?, ?, ?)",
            ((child.id, number, fileset) for number, (fileset,) in enumerate(own[0] + own[1])),
        )


def remove(connection: SqlConnection, row: CommitRow) -> None:
    """Remove a commit from the graph; its children become children of its parent."""
    connection.execute("UPDATE commits SET parent=? WHERE parent=?", (row.parent, row.id))
    connection.execute("DELETE FROM commit_provenance WHERE downstream=?1 OR upstream=?1", (row.id,))
    connection.execute('DELETE FROM layers WHERE "commit"=?', (row.id,))
    connection.execute("DELETE FROM commits WHERE id=?", (row.id,))
