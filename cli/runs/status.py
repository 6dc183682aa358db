"""The subcommand `status`: what is in use, what runs, what waits, what failed."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, shorten, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from cli.runs.overview import Overview

EVERY = 2.0
"""Seconds between two looks with ``--watch``."""


@click.command()
@click.option("--watch", is_flag=True, help="Show it again every 2 seconds, until Ctrl-C.")
@with_session
def status(session: Session, watch: bool) -> None:
    """Show the model in use, what runs and how far it is, what waits for whom, what failed, and each repo's head."""
    from cli.runs.overview import overview
    from pachyderm.client.connection import connect

    if watch and session.json:
        raise RequestError("--watch is for people and --json prints one document; use one of the two")
    with connect(session.target()) as client:
        if not watch:
            shown = overview(client, time.time())
            emit(session, dataclasses.asdict(shown), status_text(session, shown, time.time()))
            return
        for text in watched(lambda: status_text(session, overview(client, time.time()), time.time()), time.sleep):
            click.clear()
            emit(session, None, text)


def watched(read: Callable[[], str], pause: Callable[[float], None]) -> Iterator[str]:
    """Yield what `read` returns whenever it changes, until Ctrl-C; `pause` waits for so many seconds."""
    last = None
    try:
        while True:
            text = read()
            if text != last:
                yield text
            last = text
            pause(EVERY)
    except KeyboardInterrupt:
        return


def status_text(session: Session, shown: Overview, now: float) -> str:
    """Lay the overview out for one screen; `now` is in seconds since 1970."""

    def rows(name: str, entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**entry, name: shorten(session, entry[name])} for entry in entries]

    sections = {
        "In use": shorten(session, _in_use(shown, now)),
        "Running": [
            {**_progress(row), "run": shorten(session, row["run"])} for row in rows("commit_set", shown.running)
        ],
        "Waiting": [{**row, "waits_for": shorten(session, row["for"])} for row in rows("commit", _waiting(shown))],
        "Planned": _planned(shown),
        "Failed": [shorten(session, f"{row['commit']}: {row['error']}\n  {row['remedy']}") for row in shown.failed],
        "Warnings": shown.warnings,
        "Repos": rows("head", shown.repos),
    }
    texts = {title: _laid_out(title, content) for title, content in sections.items() if content}
    return "\n\n".join(f"{title}\n{indent(text, '  ')}" for title, text in texts.items())


def _planned(shown: Overview) -> str:
    from cli.runs.forecasts import summary
    from cli.runs.overview import FORECAST_COMMITS

    if shown.planned:
        return summary(shown.planned["stages"], shown.planned["seconds"])
    many = len(shown.waiting) > FORECAST_COMMITS
    return f"{len(shown.waiting)} commits are open; what they will cost: pix2pix plan" if many else ""


COLUMNS = {
    "Running": ("stage", "commit_set", "progress", "run"),
    "Waiting": ("commit", "waits_for"),
    "Repos": ("repo", "branch", "head", "state", "error"),
}
"""Section -> columns of its table."""


def _laid_out(title: str, content: Any) -> str:
    if title in COLUMNS:
        return table(COLUMNS[title], content)
    return content if isinstance(content, str) else "\n".join(content)


def _in_use(shown: Overview, now: float) -> str:
    from cli.console import age

    model = shown.in_use
    if model is None:
        return "no model yet: pix2pix put training PAIRS, then pix2pix trigger"
    l1 = model["metrics"].get("held_out_l1")
    facts = (
        f"model@{model['commit']}",
        f'"{model["message"]}"' if model["message"] else "",
        f"L1 {l1:.4f}" if l1 is not None else "",
        f"since {age(model['since'], now)}" if model["since"] else "",
    )
    return ", ".join(filter(None, facts))


def _progress(row: dict[str, Any]) -> dict[str, Any]:
    from pachyderm.dag.repos import stage_of

    done, total = row["done"], row["total"]
    progress = f"{done} of {total} ({100 * done // total} %)" if total else str(done) if done else "begun"
    if row["waits"]:
        progress = f"waits for {row['waits']}"
    return {**row, "stage": stage_of(row["commit"].partition("@")[0]).name, "progress": progress}


def _waiting(shown: Overview) -> list[dict[str, Any]]:
    """Return what waits, without what runs."""
    running = {row["commit"] for row in shown.running}
    return [row for row in (*shown.waiting, *shown.for_people) if row["commit"] not in running]
