"""Clients' transactions: requests that are collected, validated at each step and applied together.

The id of a transaction is the id of the commit set that it creates.
"""

from __future__ import annotations

from typing import Any

import betterproto
from pachyderm_sdk.api import pfs, transaction

from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.graph import branches, commit_sets, commits, repos
from pachyderm.store.graph.graph_update import GraphUpdate, graph_update
from pachyderm.store.graph.infos import Infos, moment
from pachyderm.store.names import new_id, repo_name
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, not_found, unimplemented

HEADER = "pach-transaction"


def id_of(context: Any) -> str:
    """Return the id of the transaction that a request belongs to; empty for none."""
    for key, value in context.invocation_metadata():
        if key == HEADER and value:
            return str(value)
    return ""


def perform(engine: Engine, request: Any, context: Any) -> Any:
    """Apply a `TransactionRequest` now, or append it to the client's transaction.

    Returns:
        the result of the request: a `Commit`, whether a repo was deleted, or None.
    """
    name = id_of(context)
    if not name:
        with graph_update(engine) as update:
            return run(update, request)
    return append(engine, name, request)


def run(update: GraphUpdate, request: Any) -> Any:
    """Apply a `TransactionRequest` in an update; return its result."""
    kind = next((field for field in request._betterproto.meta_by_field_name if _is_set(request, field)), "")
    value: Any = getattr(request, kind) if kind else None
    match kind:
        case "create_repo":
            repos.create(update, value)
        case "delete_repo":
            return repos.delete(update, repo_name(value.repo), value.force)
        case "start_commit":
            row = commits.start(update, value.branch, value.parent, value.description)
            return Infos(update.connection).commit(row)
        case "finish_commit":
            row = resolve.commit_for_writing(update.connection, value.commit)
            commits.finish(update, row, value.error, value.description)
        case "squash_commit_set":
            commit_sets.squash_set(update, value.commit_set.id)
        case "create_branch":
            branches.create(update, value)
        case "delete_branch":
            branches.delete(update, rows.branch(update.connection, *branches.named(value.branch)), value.force)
        case "":
            raise StatusError("unrecognized transaction request type")
        case _:
            raise unimplemented(f"{kind} in a transaction")
    return None


def _is_set(message: Any, field: str) -> bool:
    return bool(betterproto.serialized_on_wire(getattr(message, field)))


def _run_all(update: GraphUpdate, requests: list[Any]) -> list[Any]:
    responses = []
    for number, request in enumerate(requests):
        try:
            result = run(update, request)
        except StatusError as error:
            text = f"error running request {number + 1} of {len(requests)}: {error.text}"
            raise StatusError(text, error.code) from error
        is_commit = isinstance(result, pfs.Commit)
        responses.append(
            transaction.TransactionResponse(commit=result) if is_commit else transaction.TransactionResponse()
        )
    return responses


def start(engine: Engine) -> Any:
    """Start a transaction; return its `Transaction` message."""
    name = new_id()
    with engine.database.writing() as connection:
        connection.execute("INSERT INTO transactions VALUES (?, ?, 0, x'', x'')", (name, engine.database.now()))
    return transaction.Transaction(id=name)


def _load(connection: SqlConnection, name: str) -> Any:
    row = connection.execute(
        "SELECT started, version, requests, responses FROM transactions WHERE id=?", (name,)
    ).fetchone()
    if row is None:
        raise not_found(f'"{name[:64]}" not found in transactions')
    info = transaction.TransactionInfo.FromString(row[2])
    info.responses = transaction.TransactionInfo.FromString(row[3]).responses
    info.transaction = transaction.Transaction(id=name)
    info.started = moment(row[0])
    info.version = row[1]
    return info


def append(engine: Engine, name: str, request: Any) -> Any:
    """Add a request to a transaction if all of its requests would succeed now; return what the request would."""
    with engine.database.writing() as connection:
        info = _load(connection, name)
        requests = [*info.requests, request]
        with engine.database.dry_run():
            update = GraphUpdate(engine, connection, name)
            responses = _run_all(update, requests)
            update.end()
        connection.execute(
            "UPDATE transactions SET version=version+1, requests=?, responses=? WHERE id=?",
            (
                bytes(transaction.TransactionInfo(requests=requests)),
                bytes(transaction.TransactionInfo(responses=responses)),
                name,
            ),
        )
    if _is_set(request, "delete_repo"):
        return True
    return responses[-1].commit if _is_set(request, "start_commit") else None


def finish(engine: Engine, name: str) -> Any:
    """Apply all requests of a transaction, or none."""
    with graph_update(engine, name) as update:
        info = _load(update.connection, name)
        info.responses = _run_all(update, info.requests)
        update.connection.execute("DELETE FROM transactions WHERE id=?", (name,))
    return info


def batch(engine: Engine, requests: list[Any]) -> Any:
    """Apply several requests as one transaction."""
    name = new_id()
    with graph_update(engine, name) as update:
        responses = _run_all(update, requests)
    return transaction.TransactionInfo(
        transaction=transaction.Transaction(id=name), requests=requests, responses=responses, started=moment(update.now)
    )


def inspect(engine: Engine, name: str) -> Any:
    """Return the `TransactionInfo` of a transaction."""
    with engine.database.reading() as connection:
        return _load(connection, name)


def listed(engine: Engine) -> list[Any]:
    """Return the `TransactionInfo` of every transaction, the oldest first."""
    with engine.database.reading() as connection:
        found = connection.execute("SELECT id FROM transactions ORDER BY started, id").fetchall()
        return [_load(connection, name) for (name,) in found]


def delete(engine: Engine, name: str | None) -> None:
    """Abandon a transaction, or all of them if `name` is None."""
    with engine.database.writing() as connection:
        if name is None:
            connection.execute("DELETE FROM transactions")
        else:
            _load(connection, name)
            connection.execute("DELETE FROM transactions WHERE id=?", (name,))
