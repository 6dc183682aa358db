"""Clients' transactions: requests that are collected, tried at each step, and done together under one id.

It exists because the transaction's id is the id of the commit set that it makes, and because a client's steps must
all hold or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pachyderm_sdk.api import pfs, transaction

from pachyderm.store.database import rows
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.graph import branches, commit_sets, commits, repos
from pachyderm.store.graph.infos import Infos, moment
from pachyderm.store.graph.update import GraphUpdate, unit
from pachyderm.store.names import new_id, repo_name
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal, missing, unserved

HEADER = "pach-transaction"


def id_of(context: Any) -> str:
    """The transaction that a request belongs to; empty for none."""
    for key, value in context.invocation_metadata():
        if key == HEADER and value:
            return str(value)
    return ""


def perform(engine: Engine, request: Any, context: Any) -> Any:
    """Do one `TransactionRequest` now, or append it to the client's transaction.

    Returns:
        what the request answers: a `Commit`, whether a repo was deleted, or None.
    """
    name = id_of(context)
    if not name:
        with unit(engine) as work:
            return run(work, request)
    return append(engine, name, request)


def run(work: GraphUpdate, request: Any) -> Any:
    """Do one `TransactionRequest` in a unit of work."""
    kind = next((field for field in request._betterproto.meta_by_field_name if _is_set(request, field)), "")
    value: Any = getattr(request, kind) if kind else None
    match kind:
        case "create_repo":
            repos.create(work, value)
        case "delete_repo":
            return repos.delete(work, repo_name(value.repo), value.force)
        case "start_commit":
            row = commits.start(work, value.branch, value.parent, value.description)
            return Infos(work.connection).commit(row)
        case "finish_commit":
            row = rows.pick_for_writing(work.connection, value.commit)
            commits.finish(work, row, value.error, value.description)
        case "squash_commit_set":
            commit_sets.squash_set(work, value.commit_set.id)
        case "create_branch":
            branches.create(work, value)
        case "delete_branch":
            branches.delete(work, rows.branch(work.connection, *branches.named(value.branch)), value.force)
        case "":
            raise Refusal("unrecognized transaction request type")
        case _:
            raise unserved(f"{kind} in a transaction")
    return None


def _is_set(message: Any, field: str) -> bool:
    import betterproto

    return bool(betterproto.serialized_on_wire(getattr(message, field)))


def _run_all(work: GraphUpdate, requests: list[Any]) -> list[Any]:
    responses = []
    for number, request in enumerate(requests):
        try:
            answer = run(work, request)
        except Refusal as refusal:
            text = f"error running request {number + 1} of {len(requests)}: {refusal.text}"
            raise Refusal(text, refusal.code) from refusal
        is_commit = isinstance(answer, pfs.Commit)
        responses.append(
            transaction.TransactionResponse(commit=answer) if is_commit else transaction.TransactionResponse()
        )
    return responses


def start(engine: Engine) -> Any:
    """Begin a transaction."""
    name = new_id()
    with engine.database.writing() as connection:
        connection.execute("INSERT INTO transactions VALUES (?, ?, 0, x'', x'')", (name, engine.database.now()))
    return transaction.Transaction(id=name)


def _load(connection: SqlConnection, name: str) -> Any:
    row = connection.execute(
        "SELECT started, version, requests, responses FROM transactions WHERE id=?", (name,)
    ).fetchone()
    if row is None:
        raise missing(f'"{name[:64]}" not found in transactions')
    info = transaction.TransactionInfo.FromString(row[2])
    info.responses = transaction.TransactionInfo.FromString(row[3]).responses
    info.transaction = transaction.Transaction(id=name)
    info.started = moment(row[0])
    info.version = row[1]
    return info


@contextmanager
def _tried(connection: SqlConnection) -> Iterator[None]:
    """Undo what the block did; a block that fails is undone with the whole transaction."""
    connection.execute("SAVEPOINT tried")
    yield
    connection.execute("ROLLBACK TO tried")
    connection.execute("RELEASE tried")


def append(engine: Engine, name: str, request: Any) -> Any:
    """Add a request to a transaction, if all of it would hold now; returns what the request would answer."""
    with engine.database.writing() as connection:
        info = _load(connection, name)
        requests = [*info.requests, request]
        with _tried(connection):
            work = GraphUpdate(engine, connection, name)
            responses = _run_all(work, requests)
            work.end()
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
    """Do everything in a transaction; all of it or nothing."""
    with unit(engine, name) as work:
        info = _load(work.connection, name)
        info.responses = _run_all(work, info.requests)
        work.connection.execute("DELETE FROM transactions WHERE id=?", (name,))
    return info


def batch(engine: Engine, requests: list[Any]) -> Any:
    """Do several requests as one transaction."""
    name = new_id()
    with unit(engine, name) as work:
        responses = _run_all(work, requests)
    return transaction.TransactionInfo(
        transaction=transaction.Transaction(id=name), requests=requests, responses=responses, started=moment(work.now)
    )


def inspect(engine: Engine, name: str) -> Any:
    """The `TransactionInfo` of a transaction."""
    with engine.database.reading() as connection:
        return _load(connection, name)


def listed(engine: Engine) -> list[Any]:
    """The `TransactionInfo` of every transaction, the oldest first."""
    with engine.database.reading() as connection:
        found = connection.execute("SELECT id FROM transactions ORDER BY started, id").fetchall()
        return [_load(connection, name) for (name,) in found]


def delete(engine: Engine, name: str | None) -> None:
    """Forget a transaction, or all of them; nothing of it happens."""
    with engine.database.writing() as connection:
        if name is None:
            connection.execute("DELETE FROM transactions")
        else:
            _load(connection, name)
            connection.execute("DELETE FROM transactions WHERE id=?", (name,))
