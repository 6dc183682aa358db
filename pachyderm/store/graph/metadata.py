"""Metadata of projects, repos, branches, commits and the cluster: keys that a client adds, changes and deletes.

It exists because adding a key that is not there is how a client claims something: of many that try, one succeeds.
"""

from __future__ import annotations

import json
from typing import Any

import betterproto
import grpc

from pachyderm.store.database import rows
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal, invalid, missing, unserved

MOST = 1 << 20
"""Bytes of metadata of one object; pachd has no such limit."""


def edit(engine: Engine, request: Any) -> None:
    """Do all edits of an `EditMetadataRequest`, or none.

    Like pachd, this does not wait for a client's transaction: the edits are done when the call returns.

    Raises:
        Refusal: FAILED_PRECONDITION where a key that is added is there already.
    """
    for one in request.edits:
        _check(one)
    with engine.database.writing() as connection:
        problems = []
        for number, one in enumerate(request.edits):
            try:
                _edit(connection, one, engine.database.now())
            except Refusal as refusal:
                if refusal.code is grpc.StatusCode.UNIMPLEMENTED:
                    raise
                problems.append(f"edit #{number}: {refusal.text}")
        if problems:
            text = "apply edits: " + "\n".join(problems)
            taken = "already exists" in text
            raise Refusal(text, grpc.StatusCode.FAILED_PRECONDITION if taken else grpc.StatusCode.UNKNOWN)


def _check(one: Any) -> None:
    operation, value = betterproto.which_one_of(one, "op")
    if not operation or not betterproto.which_one_of(one, "target")[0]:
        raise invalid("validate request: invalid Edit: value is required")
    keys = list(value.replacement) if operation == "replace" else [value.key]
    if not all(keys):
        raise invalid("validate request: invalid Edit.Key: value length must be at least 1 runes")


def _edit(connection: SqlConnection, one: Any, now: int) -> None:
    kind, target = betterproto.which_one_of(one, "target")
    match kind:
        case "project":
            number = connection.execute("SELECT id FROM projects WHERE name=?", (target.name,)).fetchone()
            if number is None:
                raise missing(f'pick project: project "{target.name}" not found')
            _change(connection, one, "projects", number[0], f'project "{target.name}"')
        case "repo":
            repo = rows.repo(connection, rows.repo_name_of_picker(target))
            _change(connection, one, "repos", repo.id, f'repo "{repo.full_name}"')
        case "branch":
            branch = rows.branch(connection, rows.repo_name_of_picker(target.name.repo), target.name.name)
            _change(connection, one, "branches", branch.id, f'branch "{branch.name}"')
            connection.execute("UPDATE branches SET updated=? WHERE id=?", (now, branch.id))
        case "commit":
            commit = rows.pick_with_picker(connection, target)
            _change(connection, one, "commits", commit.id, f'commit "{rows.commit_name(connection, commit)}"')
            connection.execute("UPDATE commits SET updated=? WHERE id=?", (now, commit.id))
        case "cluster":
            text = connection.execute("SELECT value FROM cluster WHERE key='metadata'").fetchone()[0]
            changed = _changed(text, one, "cluster metadata")
            connection.execute("UPDATE cluster SET value=? WHERE key='metadata'", (changed,))
        case _:
            raise unserved("metadata of a pipeline")


def _change(connection: SqlConnection, one: Any, table: str, number: int, name: str) -> None:
    text = connection.execute(f"SELECT metadata FROM {table} WHERE id=?", (number,)).fetchone()[0]
    connection.execute(f"UPDATE {table} SET metadata=? WHERE id=?", (_changed(text, one, name), number))


def _changed(text: str, one: Any, name: str) -> str:
    metadata: dict[str, str] = json.loads(text)
    operation, value = betterproto.which_one_of(one, "op")
    match operation:
        case "add_key":
            if value.key in metadata:
                raise Refusal(f'edit {name}: add_key target key "{value.key}" already exists; use edit_key instead')
            metadata[value.key] = value.value
        case "edit_key":
            metadata[value.key] = value.value
        case "delete_key":
            metadata.pop(value.key, None)
        case "replace":
            metadata = dict(value.replacement)
    changed = json.dumps(metadata)
    if len(changed) > MOST:
        raise Refusal(f"edit {name}: more than {MOST} bytes of metadata", grpc.StatusCode.RESOURCE_EXHAUSTED)
    return changed
