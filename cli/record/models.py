"""The subcommands `models`, `promote` and `rollback`: which model generates.

They exist because going back to an earlier model is one command.
"""

from __future__ import annotations

import time
from typing import Any

import click

from cli.console import emit, moment, table
from cli.options import Session, with_session


@click.command()
@with_session
def models(session: Session) -> None:
    """List the models, newest first."""
    from pachyderm.client.commits import all_commits, head
    from pachyderm.client.connection import connect
    from pachyderm.dag.promotion import promotions_of
    from pachyderm.dag.repos import MODEL
    from pachyderm.dag.setup import check_set_up
    from pachyderm.queue.source_commit import source_of
    from pachyderm.record.record_cache import RecordCache

    rows: list[dict[str, Any]] = []
    with connect(session.target()) as client:
        check_set_up(client)
        in_use = head(client, MODEL).id
        cache = RecordCache(client)
        for commit in all_commits(client, MODEL.repo):
            record, problem = cache.record(commit), cache.problem(commit)
            if not problem and (record is None or not record.files):
                continue
            rows.append(
                {
                    "commit": commit.id,
                    "training_commit": source_of(client, commit).id,
                    "started": moment(commit.started),
                    "metrics": dict(record.metrics) if record else {},
                    "promoted": bool(promotions_of(commit)),
                    "in_use": commit.id == in_use,
                    "outcome": record.outcome if record else None,
                    "problem": problem or None,
                }
            )
    shown = [
        {
            **row,
            "model": row["commit"],
            "use": "in use" if row["in_use"] else "promoted" if row["promoted"] else "",
            "l1": f"{row['metrics']['held_out_l1']:.4f}" if "held_out_l1" in row["metrics"] else None,
        }
        for row in rows
    ]
    columns = ("model", "training_commit", "started", "l1", "use")
    emit(session, rows, table((*columns, "problem") if any(row["problem"] for row in rows) else columns, shown))


@click.command()
@click.argument("commit", required=False)
@with_session
def promote(session: Session, commit: str | None) -> None:
    """Make COMMIT, or the newest candidate, the model that generates."""
    from pachyderm.client.connection import connect
    from pachyderm.dag.promotion import promote as move
    from pachyderm.dag.repos import MODEL
    from pachyderm.dag.setup import check_set_up

    with connect(session.target()) as client:
        check_set_up(client)
        done = move(client, _model_id(client, commit), time.time())
    what = f"{MODEL} is {done.after}" + (" already" if done.before == done.after else f", was {done.before}")
    emit(session, {"from": done.before, "to": done.after}, what)


@click.command()
@click.argument("commit", required=False)
@with_session
def rollback(session: Session, commit: str | None) -> None:
    """Go back to COMMIT, or to the model promoted before; one further back at each call."""
    from pachyderm.client.connection import connect
    from pachyderm.dag.promotion import rollback as move
    from pachyderm.dag.repos import MODEL
    from pachyderm.dag.setup import check_set_up

    with connect(session.target()) as client:
        check_set_up(client)
        done = move(client, _model_id(client, commit), time.time())
    what = f"{MODEL} is {done.after}" + (" already" if done.before == done.after else f", was {done.before}")
    emit(session, {"from": done.before, "to": done.after}, what)


def _model_id(client, commit: str | None) -> str | None:  # type: ignore[no-untyped-def]
    from pachyderm.dag.references import resolve
    from pachyderm.dag.repos import MODEL

    if commit is None:
        return None
    return resolve(client, MODEL.repo, commit.removeprefix(f"{MODEL.repo}@")).id
