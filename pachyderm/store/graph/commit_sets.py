"""Commit sets, and how commits are removed: dropped with their data, or squashed into their children.

It exists because a set is what one change of the data made in all repos, and is looked at and taken back as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pachyderm.protocol.protobuf import message as new_message
from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph.forget import check_head
from pachyderm.store.graph.infos import Infos
from pachyderm.store.graph.update import AUTO, GraphUpdate
from pachyderm.store.graph.views import base_of, current, materialize
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal, missing


def members(connection: SqlConnection, set_id: str) -> list[CommitRow]:
    """The commits of a set and their aliases, each behind what it depends on.

    Raises:
        Refusal: NOT_FOUND where there is no commit of this set.
    """
    own = rows.commits(connection, 'WHERE "set"=? ORDER BY id', (set_id,))
    if not own:
        raise missing(f"no commits found for commitset {set_id}")
    found = {row.id: row for row in [*rows.set_provenance(connection, set_id), *own]}
    order: dict[int, CommitRow] = {}

    def place(row: CommitRow) -> None:
        if row.id in order:
            return
        for above in rows.direct_provenance(connection, row.id):
            if above.id in found:
                place(above)
        order[row.id] = row

    for row in found.values():
        place(row)
    return list(order.values())


def inspect(engine: Engine, set_id: str) -> list[tuple[CommitRow, bytes]]:
    """Row and `CommitInfo` of every member of a set."""
    with engine.database.reading() as connection:
        infos = Infos(connection)
        return [(row, infos.commit_info(row)) for row in members(connection, set_id)]


def listed(engine: Engine, request: Any) -> Iterator[Any]:
    """The `CommitSetInfo` of all sets, that with the newest commit first."""
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
    """Serialize the `CommitSetInfo` of a set and the serialized `CommitInfo` of its members."""
    info = new_message("CommitSetInfo", commit_set={"id": set_id})
    for commit_info in commit_infos:
        info.commits.add().MergeFromString(commit_info)
    serialized: bytes = info.SerializeToString()
    return serialized


def drop_set(work: GraphUpdate, set_id: str) -> None:
    """Remove a set with its data.

    Raises:
        Refusal: other sets depend on it, or a commit of it has children. A set that is not there is no error.
    """
    own = _removable(work, set_id)
    _refuse_children(work, own)
    _delete_all(work, own)


def squash_set(work: GraphUpdate, set_id: str) -> None:
    """Remove a set; its data stays in the children of its commits.

    Raises:
        Refusal: other sets depend on it, or a commit of it has no children. A set that is not there is no error.
    """
    own = _removable(work, set_id)
    _refuse_childless(work, own)
    _delete_all(work, own)


def drop(work: GraphUpdate, message: Any, recursive: bool) -> None:
    """Remove a commit with its data, and what depends on it.

    Raises:
        Refusal: something depends on it and `recursive` is not set, or one of them has children.
    """
    own = _with_subvenance(work, message, recursive, "drop")
    _refuse_children(work, own)
    _delete_all(work, own)


def squash(work: GraphUpdate, message: Any, recursive: bool) -> None:
    """Remove a commit, and what depends on it; their data stays in their children.

    Raises:
        Refusal: something depends on it and `recursive` is not set, or one of them has no children.
    """
    own = _with_subvenance(work, message, recursive, "squash")
    _refuse_childless(work, own)
    _delete_all(work, own)


def _removable(work: GraphUpdate, set_id: str) -> list[CommitRow]:
    below = sorted({row.set for row in rows.set_subvenance(work.connection, set_id)})
    if below:
        names = " ".join(f'id:"{other}"' for other in below)
        raise Refusal(
            f'commit set "id:\\"{set_id}\\"" cannot be dropped because it has subvenant commit sets: [{names}]'
        )
    return rows.commits(work.connection, 'WHERE "set"=? ORDER BY id', (set_id,))


def _with_subvenance(work: GraphUpdate, message: Any, recursive: bool, what: str) -> list[CommitRow]:
    picked = rows.pick(work.connection, message)
    name = rows.commit_name(work.connection, picked.row)
    if picked.alias:
        raise Refusal(f"cannot {what} commit through its alias; name {name}")
    found = {picked.row.id: picked.row}
    waiting = [picked.row]
    while waiting:
        for below in rows.direct_subvenance(work.connection, waiting.pop().id):
            if below.id not in found:
                found[below.id] = below
                waiting.append(below)
    if len(found) > 1 and not recursive:
        raise Refusal(f"cannot {what} commit ({name}) with subvenance without recursive")
    return [found[number] for number in sorted(found)]


def _refuse_children(work: GraphUpdate, own: list[CommitRow]) -> None:
    for row in own:
        if rows.children(work.connection, row.id):
            raise Refusal(f"cannot drop a commit that has children: {rows.commit_name(work.connection, row)}")


def _refuse_childless(work: GraphUpdate, own: list[CommitRow]) -> None:
    for row in own:
        if not rows.children(work.connection, row.id):
            raise Refusal(
                "cannot squash a commit that has no children as that would cause data loss, "
                f"use the drop operation instead: {rows.commit_name(work.connection, row)}"
            )


def _delete_all(work: GraphUpdate, own: list[CommitRow]) -> None:
    """Delete in the order of creation: what replaces a first commit must find the new heads of what it depends on."""
    for row in own:
        _delete(work, rows.commit_by_id(work.connection, row.id))


def _delete(work: GraphUpdate, row: CommitRow) -> None:
    connection = work.connection
    for child in rows.children(connection, row.id):
        if child.finished is None:
            suffix = "" if child.finishing is None else ", consider using WaitCommit"
            name = rows.commit_name(connection, child)
            raise Refusal(f"cannot squash until child commit {name} is finished{suffix}")
        _keep_files(work, row, child)
    heads = rows.branches(connection, "WHERE head=? ORDER BY id", (row.id,))
    if heads and row.parent is not None:
        check_head(connection, rows.commit_by_id(connection, row.parent))
        for branch in heads:
            work.set_head(branch.id, row.parent)
    elif heads:
        upstream = connection.execute(
            "SELECT head FROM branch_provenance JOIN branches ON id=upstream WHERE downstream=? ORDER BY upstream",
            (heads[0].id,),
        ).fetchall()
        empty = work.create_commit(
            row.repo,
            heads[0].name,
            AUTO,
            parent=None,
            provenance=[head for (head,) in upstream],
            closed=not upstream,
        )
        for branch in heads:
            work.set_head(branch.id, empty.id)
    remove(connection, row)


def _keep_files(work: GraphUpdate, row: CommitRow, child: CommitRow) -> None:
    """Give a child what it has from the commit; only one that ended with an error may still rest on it."""
    connection = work.connection
    if current(connection, child):
        return
    if base_of(connection, child).ready:
        materialize(work.engine, connection, child)
    elif not row.error:
        query = 'SELECT fileset FROM layers WHERE "commit"=? ORDER BY number'
        own = [connection.execute(query, (number,)).fetchall() for number in (row.id, child.id)]
        connection.execute('DELETE FROM layers WHERE "commit"=?', (child.id,))
        connection.executemany(
            "INSERT INTO layers VALUES (?, ?, ?)",
            ((child.id, number, fileset) for number, (fileset,) in enumerate(own[0] + own[1])),
        )


def remove(connection: SqlConnection, row: CommitRow) -> None:
    """Take a commit out of the graph; its children get its parent."""
    connection.execute("UPDATE commits SET parent=? WHERE parent=?", (row.parent, row.id))
    connection.execute("DELETE FROM commit_provenance WHERE downstream=?1 OR upstream=?1", (row.id,))
    connection.execute('DELETE FROM layers WHERE "commit"=?', (row.id,))
    connection.execute("DELETE FROM commits WHERE id=?", (row.id,))
