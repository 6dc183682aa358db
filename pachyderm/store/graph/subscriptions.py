"""Requests that wait: for a state of a commit, for a commit set to finish, for new commits of a repo.

They see the changes of every process, and end when the client goes away or the server stops.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph import commit_sets
from pachyderm.store.graph.infos import Infos
from pachyderm.store.names import repo_name
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError

READY = int(pfs.CommitState.READY)
FINISHING = int(pfs.CommitState.FINISHING)
FINISHED = int(pfs.CommitState.FINISHED)


def _reached(connection: SqlConnection, row: CommitRow, state: int) -> bool:
    if row.finished is not None or state not in (READY, FINISHING, FINISHED):
        return True
    if state == READY:
        return all(up.finished is not None for up in rows.direct_provenance(connection, row.id))
    return state == FINISHING and row.finishing is not None


def wait(engine: Engine, number: int, name: str, state: int, context: Any) -> None:
    """Wait until a commit has reached a `CommitState`.

    Raises:
        StatusError: the commit was deleted; the client went away; the server stops.
    """
    for _ in engine.database.changes(context.is_active):
        with engine.database.reading() as connection:
            found = rows.commits(connection, "WHERE id=?", (number,))
            if not found:
                raise StatusError(f"commit {name} was deleted")
            if _reached(connection, found[0], state):
                return
    raise _ended()


def _ended() -> StatusError:
    return StatusError("the wait ended: the client went away or the server stops", grpc.StatusCode.UNAVAILABLE)


def wait_finished(engine: Engine, number: int, context: Any) -> None:
    """Wait until a commit is finished."""
    with engine.database.reading() as connection:
        name = rows.commit_name(connection, rows.commit_by_id(connection, number))
    wait(engine, number, name, FINISHED, context)


def inspect(engine: Engine, request: Any, context: Any) -> Any:
    """Return the `CommitInfo` of a commit once it has reached the requested state."""
    with engine.database.reading() as connection:
        row = resolve.commit(connection, request.commit).row
        name = rows.commit_name(connection, row)
    wait(engine, row.id, name, int(request.wait), context)
    with engine.database.reading() as connection:
        return Infos(connection).commit_info(rows.commit_by_id(connection, row.id))


def inspect_set(engine: Engine, request: Any, context: Any) -> Iterator[Any]:
    """Yield the `CommitInfo` of a commit set's commits and aliases; with `wait`, each one once it is finished."""
    unfinished = []
    for row, info in commit_sets.inspect(engine, request.commit_set.id):
        if not request.wait or row.finished is not None:
            yield info
        else:
            unfinished.append(row.id)
    for number in unfinished:
        wait_finished(engine, number, context)
        with engine.database.reading() as connection:
            info = Infos(connection).commit_info(rows.commit_by_id(connection, number))
        yield info


def subscribe(engine: Engine, request: Any, context: Any) -> Iterator[Any]:
    """Yield the `CommitInfo` of every existing and future commit of a repo, in the order of creation."""
    state, kind = int(request.state), int(request.origin_kind)
    last = 0
    with engine.database.reading() as connection:
        repo = rows.repo(connection, repo_name(request.repo))
        hidden = request.from_.id or ""
    for _ in engine.database.changes(context.is_active):
        while context.is_active():
            with engine.database.reading() as connection:
                found = rows.commits(connection, "WHERE repo=? AND id>? ORDER BY id LIMIT 100", (repo.id, last))
                if not found and not rows.repos(connection, "repos.id=?", (repo.id,)):
                    raise StatusError(f"repo {repo.full_name} was deleted")
            if not found:
                break
            for row in found:
                last = row.id
                if row.set == hidden or (request.branch and row.branch != request.branch):
                    continue
                if kind and not request.all and row.origin != kind:
                    continue
                wait(engine, row.id, f"{repo.full_name}@{row.set}", state, context)
                with engine.database.reading() as connection:
                    info = Infos(connection).commit_info(rows.commit_by_id(connection, row.id))
                yield info
    raise _ended()
