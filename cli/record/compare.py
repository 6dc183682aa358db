"""The subcommand `compare`: models side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, grid, print_message, shorten
from cli.options import Session, with_session

if TYPE_CHECKING:
    from pachyderm.record.model_facts import ModelFacts


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a page with the pictures that each model generated from the same inputs.",
)
@with_session
def compare(session: Session, models: tuple[str, ...], page: Path | None) -> None:
    """Compare the parameters, data and metrics of models.

    MODEL is an id, a prefix of one, candidate, master, or master^ for the model that was in use before. Of the
    parameters, those that differ are listed; all with -v.
    """
    from pachyderm.client.commits import head
    from pachyderm.client.connection import connect
    from pachyderm.dag.model_references import resolve_model
    from pachyderm.dag.repos import MODEL
    from pachyderm.dag.setup import check_set_up
    from pachyderm.record.model_facts import model_facts
    from pachyderm.record.record_cache import RecordCache

    with connect(session.target()) as client:
        check_set_up(client)
        commits = list({commit.id: commit for commit in (resolve_model(client, text) for text in models)}.values())
        cache, in_use = RecordCache(client), head(client, MODEL).id
        facts = [model_facts(cache, commit, in_use) for commit in commits]
        rows = fact_rows(session, facts, every=session.verbosity > 0)
        if page is not None:
            from cli.record.compare_page import write_page

            shown = write_page(page, client, commits, rows)
            print_message(session, f"{page} shows {shown} pictures by each model")
    for fact in facts:
        if fact.problem:
            print_message(session, fact.problem)
    emit(session, {"models": [dataclasses.asdict(fact) for fact in facts]}, grid(rows))


def fact_rows(session: Session, facts: Sequence[ModelFacts], *, every: bool) -> list[list[Any]]:
    """Return one row per fact, with a cell per model after its name; the first row names the models.

    Args:
        session: the common options.
        facts: of the models.
        every: whether parameters and versions that are equal are listed too.
    """
    rows: list[list[Any]] = [
        ["model", *(shorten(session, fact.commit) for fact in facts)],
        ["use", *("in use" if fact.in_use else "promoted" if fact.promoted else "candidate" for fact in facts)],
        ["trained on", *(shorten(session, fact.training_commit) for fact in facts)],
        ["began with", *(shorten(session, fact.parent) for fact in facts)],
        ["message", *(fact.message for fact in facts)],
        ["pairs", *(fact.data.get("pairs") for fact in facts)],
    ]
    if len({fact.data.get("digest") for fact in facts}) > 1:
        rows.append(["pairs' digest", *(str(fact.data.get("digest", ""))[:12] for fact in facts)])
    rows += _rows([fact.metrics for fact in facts], every=True)
    rows += _rows([fact.parameters for fact in facts], every=every)
    return rows + _rows([fact.versions for fact in facts], every=every)


def _rows(values: Sequence[Mapping[str, Any]], *, every: bool) -> list[list[Any]]:
    names = dict.fromkeys(name for mapping in values for name in mapping)
    cells = {name: [mapping.get(name) for mapping in values] for name in names}
    return [[name, *map(_text, row)] for name, row in cells.items() if every or any(cell != row[0] for cell in row[1:])]


def _text(value: Any) -> Any:
    return f"{value:.4g}" if isinstance(value, float) else value
