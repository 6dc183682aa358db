"""The subcommand `why`: the decisions about a commit set, and what differed from the commits before."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, shorten, table
from cli.options import Session, with_session
from pix2pix.escaping import escape

if TYPE_CHECKING:
    from pachyderm.record.explain import CommitExplanation, Explanation


@click.command()
@click.argument("commit_set", metavar="SET")
@with_session
def why(session: Session, commit_set: str) -> None:
    """Explain what was decided about the commit set SET, when, by whom and why.

    For each output commit: its state, its claims, what it waits for, and which parts of its fingerprint differ from
    the commit before. SET is the id of a commit set, or any commit in it.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve_any
    from pachyderm.record.explain import explain

    with connect(session.target()) as client:
        explanation = explain(client, resolve_any(client, commit_set).id, time.time())
    emit(session, dataclasses.asdict(explanation), _text(session, explanation))


def _text(session: Session, explanation: Explanation) -> str:
    lines = [shorten(session, f"commit set {explanation.commit_set}"), ""]
    decisions = [dataclasses.asdict(decision) for decision in explanation.decisions]
    # Ids are shortened before the columns are laid out, or these would not be aligned.
    rows = [{name: shorten(session, str(value)) for name, value in decision.items()} for decision in decisions]
    columns = ("time", "decision", "attempt", "run", "by", "reason")
    lines.append(table(columns, rows) if rows else "no decisions")
    for commit in explanation.commits:
        lines += ["", *(shorten(session, escape(line)) for line in _lines(commit))]
    return "\n".join(lines)


def _lines(commit: CommitExplanation) -> list[str]:
    lines = [f"{commit.commit} is {commit.state}" + (f": {commit.error}" if commit.error else "")]
    if commit.waits_for:
        lines.append(f"  waits for {commit.waits_for}")
    lines += [
        f"  claim {number} of run {run}" + (f", ended: {reason}" if reason else "")
        for number, run, reason in commit.claims
    ]
    if commit.outcome:
        lines.append(f"  {commit.outcome}")
    if commit.problem:
        lines.append(f"  {commit.problem}")
    if commit.chosen:
        lines += [f"  given: {_listed(commit.given)}"] if commit.given else []
        lines.append(f"  chosen by the time budget: {_listed(commit.chosen)}")
    if commit.compared_with:
        differs = ", ".join(commit.differs) or "nothing"
        lines.append(f"  differs from {commit.compared_with} in: {differs}")
    return lines


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in values.items())
