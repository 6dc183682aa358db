"""FindCommits: the search for the commits that changed a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.protocol.protobuf import message
from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.files import paths
from pachyderm.store.graph.infos import Infos
from pachyderm.store.objects.changes import decoded, parse_key
from pachyderm.store.objects.directories import files_at
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError

SHARE = 0.85
"""Share of the client's deadline that is spent on the search, as in pachd; the rest is left for the response."""


def find(engine: Engine, request: Any, context: Any) -> Iterator[Any]:
    """Search for the commits that changed a file, from a commit back along its parents.

    Args:
        engine: the store.
        request: a `FindCommitsRequest`; a limit of 0 means unlimited.
        context: context of the request; the search ends before its deadline.

    Yields:
        a `FindCommitsResponse` per commit found, and a final one with the last commit that was searched.

    Raises:
        StatusError: NOT_FOUND; UNAVAILABLE if a commit is unfinished.
    """
    remaining = context.time_remaining()
    end = None if remaining is None else engine.database.now() + int(remaining * SHARE * 1_000_000)
    path = paths.clean(request.file_path)
    with engine.database.reading() as connection:
        number: int | None = resolve.commit(connection, request.start).row.id
    searched = found = 0
    last: Any = None
    while number is not None and context.is_active():
        if last is not None and end is not None and engine.database.now() > end:
            break
        with engine.database.reading() as connection:
            row = rows.commit_by_id(connection, number)
            if row.finished is None:
                raise _unfinished(connection, row)
            last = Infos(connection).commit(row)
            changed = _changes(engine, connection, row, path)
        if changed:
            found += 1
            yield pfs.FindCommitsResponse(found_commit=last, commits_searched=searched)
        searched += 1
        number = None if request.limit and found == request.limit else row.parent
    yield pfs.FindCommitsResponse(last_searched_commit=last, commits_searched=searched)


def _changes(engine: Engine, connection: SqlConnection, row: CommitRow, path: str) -> bool:
    """Whether a write to the commit appends to the file, replaces it or deletes it."""
    encoded = path.encode()
    parts = connection.execute(
        'SELECT changes, fileset_parts.tree FROM layers JOIN fileset_parts USING (fileset) WHERE "commit"=?', (row.id,)
    )
    for changes, tree in parts.fetchall():
        if changes is None:
            if files_at(engine.pages, tree, paths.split(path), ""):
                return True
        elif any(parse_key(key)[0].encode() == encoded for key, _ in decoded(changes)):
            return True
    return False


def _unfinished(connection: SqlConnection, row: CommitRow) -> StatusError:
    text = f"commit {rows.commit_name(connection, row)} not finished"
    code = grpc.StatusCode.UNAVAILABLE
    resource = message(
        "ResourceInfo", resource_type="pfs:commit", resource_name=row.set, description="commit not finished"
    )
    detail = {"type_url": "type.googleapis.com/google.rpc.ResourceInfo", "value": resource.SerializeToString()}
    status = message("Status", code=code.value[0], message=text, details=[detail])
    return StatusError(text, code, status.SerializeToString())
