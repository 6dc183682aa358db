"""The subcommand `models`: every exported model, with its metrics and its use."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, moment, print_message, shorten, table
from cli.options import Session, with_session

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection
    from pachyderm.record.record_cache import RecordCache
    from pachyderm.record.stage_record import StageRecord

COLUMNS = ("model", "training_commit", "started", "l1", "use", "gate")

NEWEST = 20
"""Models that people see by default; scripts get all."""

NEWER = 4
"""Commits of `model` that are read at first for each model to show: those of failed trainings hold none."""


@click.command()
@click.option(
    "-n",
    "--number",
    metavar="N",
    type=click.IntRange(min=0),
    help=f"List the newest N models; 0 means all.  [default: {NEWEST}; all with --json]",
)
@with_session
def models(session: Session, number: int | None) -> None:
    """List the models, newest first.

    L1 is measured on the held-out pairs of its own training. USE is "in use" for the model that generates now,
    "promoted" for one that did before; a candidate is held back, waiting, approved, rejected or superseded. GATE is
    why the gate promoted it or not.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.setup import check_set_up

    with connect(session.target()) as client:
        check_set_up(client)
        most = (0 if session.json else NEWEST) if number is None else number
        rows = _rows(client, most and most + 1)
    more, rows = bool(most) and len(rows) > most, rows[: most or None]
    columns = COLUMNS + tuple(name for name in ("parent", "budget", "problem") if any(row[name] for row in rows))
    text = table(columns, [_shown(session, row) for row in rows]) if rows else "no models yet"
    emit(session, rows, text)
    if more:
        print_message(session, "older models are not listed; pix2pix models -n 0 lists all")


def _rows(client: Connection, most: int) -> list[dict[str, Any]]:
    """Return a row for each of the newest models, and for each commit of `model` whose record cannot be read.

    Args:
        client: the connection.
        most: rows; 0 for all.
    """
    from pachyderm.client.commits import all_commits, head
    from pachyderm.dag.repos import MODEL
    from pachyderm.record.record_cache import RecordCache

    in_use, archive = head(client, MODEL).id, RecordCache(client)
    # A long history is read as a whole only where its newest commits hold too few models.
    newest = list(all_commits(client, MODEL.repo, NEWER * most))
    rows = _rows_of(newest, archive, in_use, most)
    if len(rows) < most and len(newest) == NEWER * most:
        rows = _rows_of(list(all_commits(client, MODEL.repo)), archive, in_use, most)
    return rows


def _rows_of(commits: Sequence[Commit], archive: RecordCache, in_use: str, most: int) -> list[dict[str, Any]]:
    from pachyderm.dag.gate_decision import gate_decision_of
    from pachyderm.dag.promotion import promotions_of
    from pachyderm.dag.review import decided, standing
    from pachyderm.dag.verdict import verdict_of
    from pachyderm.queue.source_commit import source_of
    from pachyderm.record.model_facts import training_record

    rows: list[dict[str, Any]] = []
    for commit in commits:
        if not commit.bytes and "fingerprint" not in commit.metadata:
            continue  # no stage filled it, so it has no record
        record, problem = archive.record(commit), archive.problem(commit)
        if not problem and (record is None or not record.files):
            continue
        gate, verdict, trained = gate_decision_of(commit), verdict_of(commit), training_record(archive, record)
        rows.append(
            {
                "commit": commit.id,
                "training_commit": source_of(archive.client, commit).id,
                "parent": trained.parent if trained else None,
                "started": moment(commit.started),
                "metrics": dict(record.metrics) if record else {},
                "budget": _budget(trained),
                "promoted": bool(promotions_of(commit)),
                "in_use": commit.id == in_use,
                "use": standing(commit, in_use, commits),
                "decided": decided(commit),
                "gate": dataclasses.asdict(gate) if gate is not None else None,
                "verdict": dataclasses.asdict(verdict) if verdict is not None else None,
                "outcome": record.outcome if record else None,
                "problem": problem or None,
            }
        )
        if most and len(rows) == most:
            break
    return rows


def _budget(record: StageRecord | None) -> dict[str, Any] | None:
    """Return the time budget of a training and what it chose: name -> value; None without one."""
    chosen = record.parameters_from_origin("budget") if record is not None else {}
    return {"minutes": record.parameters["minutes"].value, **chosen} if record is not None and chosen else None


def _shown(session: Session, row: Mapping[str, Any]) -> dict[str, Any]:
    """Format a row for people."""
    return {
        **row,
        "model": shorten(session, row["commit"]),
        "training_commit": shorten(session, row["training_commit"]),
        "parent": shorten(session, row["parent"]),
        "l1": f"{row['metrics']['held_out_l1']:.4f}" if "held_out_l1" in row["metrics"] else None,
        "gate": row["decided"],
        "budget": row["budget"] and ", ".join(f"{name} = {value}" for name, value in row["budget"].items()),
    }
