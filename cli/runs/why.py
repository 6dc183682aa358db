"""The subcommand `why`: what was decided about a commit set, when, by whom, and why.

It exists because "why was this trained again?" and "why was it not?" must not need a search through logs.
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

import click

from cli.console import emit, table
from cli.options import Session, with_session

if TYPE_CHECKING:
    from pachyderm.record.explain import CommitExplanation, Explanation


@click.command()
@click.argument("commit_set", metavar="SET")
@with_session
def why(session: Session, commit_set: str) -> None:
    """Tell what was decided about SET, by whom, and why; and which part of a fingerprint differed."""
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve_any
    from pachyderm.record.explain import explain

    with connect(session.target()) as client:
        told = explain(client, resolve_any(client, commit_set).id, time.time())
    emit(session, dataclasses.asdict(told), _text(told))


def _text(told: Explanation) -> str:
    lines = [f"commit set {told.commit_set}", ""]
    rows = [dataclasses.asdict(decision) for decision in told.decisions]
    lines.append(table(("time", "decision", "attempt", "run", "by", "reason"), rows) if rows else "nothing was decided")
    for commit in told.commits:
        lines += ["", *_lines(commit)]
    return "\n".join(lines)


def _lines(commit: CommitExplanation) -> list[str]:
    lines = [f"{commit.commit} is {commit.state}" + (f": {commit.error}" if commit.error else "")]
    if commit.waits_for:
        lines.append(f"  waits for {commit.waits_for}")
    lines += [
        f"  claim {number} of run {run}" + (f", over: {over}" if over else "") for number, run, over in commit.claims
    ]
    if commit.outcome:
        lines.append(f"  {commit.outcome}")
    if commit.problem:
        lines.append(f"  {commit.problem}")
    if commit.compared_with:
        differs = ", ".join(commit.differs) or "nothing"
        lines.append(f"  differs from {commit.compared_with} in: {differs}")
    return lines
