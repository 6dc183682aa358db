"""Commits: started, finished, cleared, listed.

It exists because these are the writes that the commit graph grows by; each runs alone or inside a client's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import betterproto

from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow
from pachyderm.store.graph import branches
from pachyderm.store.graph.infos import Infos
from pachyderm.store.graph.update import USER, GraphUpdate
from pachyderm.store.graph.views import NOTHING, Forgotten, rests_on_forgotten
from pachyderm.store.names import check_branch_name, repo_name, repo_of_commit
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal, commit_finished


def start(work: GraphUpdate, branch: Any, parent: Any = None, description: str = "") -> CommitRow:
    """Start a commit on a branch, which is made where it is missing.

    Args:
        work: the unit of work.
        branch: a `Branch` message.
        parent: a `Commit` message; the branch's head without.
        description: of the commit.

    Raises:
        Refusal: the parent is open, or the branch has provenance.
    """
    if not branch.name:
        raise Refusal("branch must be specified")
    owner, name = branches.named(branch)
    repo = rows.repo(work.connection, owner)
    check_branch_name(name)
    before = rows.find_branch(work.connection, owner, name)
    above = _parent(work, parent, None if before is None else before.head)
    upstream: list[int] = []
    if before is not None:
        found = work.connection.execute(
            "SELECT head FROM branch_provenance JOIN branches ON id=upstream WHERE downstream=? ORDER BY upstream",
            (before.id,),
        )
        upstream = [head for (head,) in found]
    if upstream:
        raise Refusal(f"cannot start a commit on an output branch: {owner}@{name}")
    row = work.create_commit(repo.id, name, USER, parent=above, provenance=[], description=description)
    work.move(branches.ensure(work, repo.id, name, row.id))
    return row


def _parent(work: GraphUpdate, message: Any, head: int | None) -> int | None:
    if message is not None and betterproto.serialized_on_wire(message) and (message.id or message.branch.name):
        above = rows.pick(work.connection, message).row
    elif head is not None:
        above = rows.commit_by_id(work.connection, head)
    else:
        return None
    if above.finishing is None:
        raise Refusal(f"parent commit {rows.commit_name(work.connection, above)} has not been finished")
    if rests_on_forgotten(work.connection, above):
        raise Forgotten
    return above.id


def finish(work: GraphUpdate, row: CommitRow, error: str = "", description: str = "") -> None:
    """Close a commit for writing; it is finished at the end of the unit, or when its base is.

    Raises:
        Refusal: it was finished before.
    """
    if row.finishing is not None:
        raise commit_finished(rows.commit_name(work.connection, row))
    work.connection.execute(
        "UPDATE commits SET finishing=?, error=?, description=?, updated=? WHERE id=?",
        (work.now, error, description or row.description, work.now, row.id),
    )
    work.settle(row.id)


def clear(work: GraphUpdate, message: Any) -> None:
    """Take back everything that was written to an open commit.

    Raises:
        Refusal: it was finished, or is an alias.
    """
    picked = rows.pick(work.connection, message)
    if picked.row.finishing is not None:
        raise Refusal("cannot clear finished commit")
    row = rows.pick_for_writing(work.connection, message)
    work.connection.execute('DELETE FROM layers WHERE "commit"=?', (row.id,))
    work.connection.execute(
        "UPDATE commits SET tree=NULL, applied=?, size=0, fault='', updated=? WHERE id=?", (NOTHING, work.now, row.id)
    )


def listed(engine: Engine, request: Any) -> Iterator[Any]:
    """The `CommitInfo` of a repo's commits, the newest first; with `to`, along the chain of parents."""
    bounded = betterproto.serialized_on_wire(request.to)
    since = betterproto.serialized_on_wire(request.from_)
    owner = repo_name(request.repo)
    with engine.database.reading() as connection:
        repo = rows.repo(connection, owner).id if owner.name else None
        for message, given in ((request.from_, since), (request.to, bounded)):
            if given and repo_of_commit(message) != owner:
                raise Refusal(f"`from` and `to` commits need to be from repo {owner}")
        if since and not bounded:
            raise Refusal("cannot use `from` commit without `to` commit")
        if bounded and request.reverse:
            raise Refusal("cannot use 'Reverse' while also using 'From' or 'To'")
        first = rows.pick(connection, request.from_).row.id if since else None
        cursor = rows.pick(connection, request.to).row.id if bounded else None
    if request.number < 0:
        raise Refusal("number must not be negative")
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
    """The `CommitInfo` of what commits depend on, or of what depends on them, the nearest first."""
    with engine.database.reading() as connection:
        infos = Infos(connection)
        messages: list[Any] = []
        for picker in request.start:
            start_id = rows.pick_with_picker(connection, picker).id
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
