"""Commits: start, finish, clear, list and walk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import betterproto

from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import CommitRow
from pachyderm.store.graph import branches
from pachyderm.store.graph.graph_update import USER, GraphUpdate
from pachyderm.store.graph.infos import Infos
from pachyderm.store.graph.materialize import NOTHING, ForgottenError, rests_on_forgotten
from pachyderm.store.names import check_branch_name, repo_name, repo_of_commit
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, commit_already_finished


def start(update: GraphUpdate, branch: Any, parent: Any = None, description: str = "") -> CommitRow:
    """Start a commit on a branch, which is created if missing.

    Args:
        update: the update of the graph.
        branch: a `Branch` message.
        parent: a `Commit` message; None for the branch's head.
        description: description of the commit.

    Raises:
        StatusError: the parent is open, or the branch has provenance.
    """
    if not branch.name:
        raise StatusError("branch must be specified")
    owner, name = branches.named(branch)
    repo = rows.repo(update.connection, owner)
    check_branch_name(name)
    before = rows.find_branch(update.connection, owner, name)
    parent_id = _parent(update, parent, None if before is None else before.head)
    upstream: list[int] = []
    if before is not None:
        found = update.connection.execute(
            "SELECT head FROM branch_provenance JOIN branches ON id=upstream WHERE downstream=? ORDER BY upstream",
            (before.id,),
        )
        upstream = [head for (head,) in found]
    if upstream:
        raise StatusError(f"cannot start a commit on an output branch: {owner}@{name}")
    row = update.create_commit(repo.id, name, USER, parent=parent_id, provenance=[], description=description)
    update.move(branches.ensure(update, repo.id, name, row.id))
    return row


def _parent(update: GraphUpdate, message: Any, head: int | None) -> int | None:
    if message is not None and betterproto.serialized_on_wire(message) and (message.id or message.branch.name):
        row = resolve.commit(update.connection, message).row
    elif head is not None:
        row = rows.commit_by_id(update.connection, head)
    else:
        return None
    if row.finishing is None:
        raise StatusError(f"parent commit {rows.commit_name(update.connection, row)} has not been finished")
    if rests_on_forgotten(update.connection, row):
        raise ForgottenError
    return row.id


def finish(update: GraphUpdate, row: CommitRow, error: str = "", description: str = "") -> None:
    """Close a commit for writing; it becomes FINISHED at the end of the update, or when its base commit does.

    Raises:
        StatusError: the commit is finished.
    """
    if row.finishing is not None:
        raise commit_already_finished(rows.commit_name(update.connection, row))
    update.connection.execute(
        "UPDATE commits SET finishing=?, error=?, description=?, updated=? WHERE id=?",
        (update.now, error, description or row.description, update.now, row.id),
    )
    update.settle(row.id)


def clear(update: GraphUpdate, message: Any) -> None:
    """Discard everything that was written to an open commit.

    Raises:
        StatusError: the commit is finished, or named through an alias.
    """
    if resolve.commit(update.connection, message).row.finishing is not None:
        raise StatusError("cannot clear finished commit")
    row = resolve.commit_for_writing(update.connection, message)
    update.connection.execute('DELETE FROM layers WHERE "commit"=?', (row.id,))
    update.connection.execute(
        "UPDATE commits SET tree=NULL, applied=?, size=0, fault='', updated=? WHERE id=?", (NOTHING, update.now, row.id)
    )


def listed(engine: Engine, request: Any) -> Iterator[Any]:
    """Yield the `CommitInfo` of a repo's commits, the newest first; with `to`, along the chain of parents."""
    bounded = betterproto.serialized_on_wire(request.to)
    since = betterproto.serialized_on_wire(request.from_)
    owner = repo_name(request.repo)
    with engine.database.reading() as connection:
        repo = rows.repo(connection, owner).id if owner.name else None
        for message, given in ((request.from_, since), (request.to, bounded)):
            if given and repo_of_commit(message) != owner:
                raise StatusError(f"`from` and `to` commits need to be from repo {owner}")
        if since and not bounded:
            raise StatusError("cannot use `from` commit without `to` commit")
        if bounded and request.reverse:
            raise StatusError("cannot use 'Reverse' while also using 'From' or 'To'")
        first = resolve.commit(connection, request.from_).row.id if since else None
        cursor = resolve.commit(connection, request.to).row.id if bounded else None
    if request.number < 0:
        raise StatusError("number must not be negative")
    steps = _chain(engine, cursor, first) if bounded else _all(engine, repo, request)
    number = request.number or -1
    for row, info in steps:
        if number == 0:
            return
        if request.origin_kind and not request.all and row.origin != request.origin_kind:
            continue
        number -= 1
        yield info


def _chain(engine: Engine, cursor: int | None, first: int | None) -> Iterator[tuple[CommitRow, Any]]:
    while cursor is not None and cursor != first:
        with engine.database.reading() as connection:
            row = rows.commit_by_id(connection, cursor)
            info = Infos(connection).commit_info(row)
        yield row, info
        cursor = row.parent


def _all(engine: Engine, repo: int | None, request: Any) -> Iterator[tuple[CommitRow, Any]]:
    reverse = bool(request.reverse)
    page, last = 200, -1 if reverse else 1 << 62
    limit = int(request.started_time.timestamp() * 1_000_000) or None
    while True:
        with engine.database.reading() as connection:
            found = rows.commits(
                connection,
                f"WHERE (?1 IS NULL OR repo=?1) AND id {'>' if reverse else '<'} ?2 "
                f"ORDER BY id {'ASC' if reverse else 'DESC'} LIMIT {page}",
                (repo, last),
            )
            infos = Infos(connection)
            messages = [(row, infos.commit_info(row)) for row in found if _in_time(row, limit, reverse)]
        yield from messages
        if len(found) < page:
            return
        last = found[-1].id


def _in_time(row: CommitRow, limit: int | None, reverse: bool) -> bool:
    if limit is None:
        return True
    return row.started > limit if reverse else row.started < limit


def walk(engine: Engine, request: Any, near: str, far: str) -> Iterator[Any]:
    """Yield the `CommitInfo` of the provenance or subvenance of commits, the nearest first.

    Args:
        engine: the store.
        request: a request that walks commits.
        near: column of ``commit_provenance`` to start from: ``downstream`` for provenance.
        far: column to follow: ``upstream`` for provenance.
    """
    with engine.database.reading() as connection:
        infos = Infos(connection)
        messages: list[Any] = []
        for picker in request.start:
            start_id = resolve.commit_of_picker(connection, picker).id
            depths = {start_id: 0}
            order = [start_id]
            for number in order:
                if request.max_depth and depths[number] >= request.max_depth:
                    continue
                query = f"SELECT {far} FROM commit_provenance WHERE {near}=? ORDER BY {far}"
                for (other,) in connection.execute(query, (number,)).fetchall():
                    if other not in depths:
                        depths[other] = depths[number] + 1
                        order.append(other)
            found = order[1:][: request.max_commits or None]
            messages.extend(infos.commit_info(rows.commit_by_id(connection, number)) for number in found)
    yield from messages
