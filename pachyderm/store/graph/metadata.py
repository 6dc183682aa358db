"""Metadata of projects, repos, branches, commits and the cluster.

Adding a key is a compare-and-set: of many clients that add the same key, exactly one succeeds.
"""

from __future__ import annotations

import json
from typing import Any

import betterproto
import grpc

from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, invalid_argument, not_found, unimplemented

MOST = 1 << 20
"""Maximum number of bytes of metadata of one object; pachd has no such limit."""


def edit(engine: Engine, request: Any) -> None:
    """Apply all edits of an `EditMetadataRequest`, or none.

    As on pachd, edits are not part of a client's transaction: they are applied when the call returns.

    Raises:
        StatusError: FAILED_PRECONDITION if a key to add exists.
    """
    for message in request.edits:
        _check(message)
    with engine.database.writing() as connection:
        problems = []
        for number, message in enumerate(request.edits):
            try:
                _edit(connection, message, engine.database.now())
            except StatusError as error:
                if error.code is grpc.StatusCode.UNIMPLEMENTED:
                    raise
                problems.append(f"edit #{number}: {error.text}")
        if problems:
            text = "apply edits: " + "\n".join(problems)
            exists = "already exists" in text
            raise StatusError(text, grpc.StatusCode.FAILED_PRECONDITION if exists else grpc.StatusCode.UNKNOWN)


def _check(message: Any) -> None:
    operation, value = betterproto.which_one_of(message, "op")
    if not operation or not betterproto.which_one_of(message, "target")[0]:
        raise invalid_argument("validate request: invalid Edit: value is required")
    keys = list(value.replacement) if operation == "replace" else [value.key]
    if not all(keys):
        raise invalid_argument("validate request: invalid Edit.Key: value length must be at least 1 runes")


def _edit(connection: SqlConnection, message: Any, now: int) -> None:
    kind, target = betterproto.which_one_of(message, "target")
    match kind:
        case "project":
            number = connection.execute("SELECT id FROM projects WHERE name=?", (target.name,)).fetchone()
            if number is None:
                raise not_found(f'pick project: project "{target.name}" not found')
            _change(connection, message, "projects", number[0], f'project "{target.name}"')
        case "repo":
            repo = rows.repo(connection, resolve.repo_name_of_picker(target))
            _change(connection, message, "repos", repo.id, f'repo "{repo.full_name}"')
        case "branch":
            branch = rows.branch(connection, resolve.repo_name_of_picker(target.name.repo), target.name.name)
            _change(connection, message, "branches", branch.id, f'branch "{branch.name}"')
            connection.execute("UPDATE branches SET updated=? WHERE id=?", (now, branch.id))
        case "commit":
            commit = resolve.commit_of_picker(connection, target)
            _change(connection, message, "commits", commit.id, f'commit "{rows.commit_name(connection, commit)}"')
            connection.execute("UPDATE commits SET updated=? WHERE id=?", (now, commit.id))
        case "cluster":
            text = connection.execute("SELECT value FROM cluster WHERE key='metadata'").fetchone()[0]
            changed = _changed(text, message, "cluster metadata")
            connection.execute("UPDATE cluster SET value=? WHERE key='metadata'", (changed,))
        case _:
            raise unimplemented("metadata of a pipeline")


def _change(connection: SqlConnection, message: Any, table: str, number: int, name: str) -> None:
    text = connection.execute(f"SELECT metadata FROM {table} WHERE id=?", (number,)).fetchone()[0]
    connection.execute(f"UPDATE {table} SET metadata=? WHERE id=?", (_changed(text, message, name), number))


def _changed(text: str, message: Any, name: str) -> str:
    metadata: dict[str, str] = json.loads(text)
    operation, value = betterproto.which_one_of(message, "op")
    match operation:
        case "add_key":
            if value.key in metadata:
                raise StatusError(f'edit {name}: add_key target key "{value.key}" already exists; use edit_key instead')
            metadata[value.key] = value.value
        case "edit_key":
            metadata[value.key] = value.value
        case "delete_key":
            metadata.pop(value.key, None)
        case "replace":
            metadata = dict(value.replacement)
    changed = json.dumps(metadata)
    if len(changed) > MOST:
        raise StatusError(f"edit {name}: more than {MOST} bytes of metadata", grpc.StatusCode.RESOURCE_EXHAUSTED)
    return changed
