"""The subcommand `fsck`: consistency of commits, records and runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from cli.console import emit, progress
from cli.options import Session, with_session
from pix2pix.escaping import escape

if TYPE_CHECKING:
    from pachyderm.fsck.check import Findings


@click.command()
@click.option("--repair", is_flag=True, help="Repair what can be repaired without loss, and report it.")
@click.option(
    "--contents/--no-contents", default=True, show_default=True, help="Also verify the contents of each file."
)
@with_session
def fsck(session: Session, repair: bool, contents: bool) -> None:
    """Check that records, commits and their provenance are consistent.

    Exit code 1 if problems remain.
    """
    from pachyderm.client.connection import connect
    from pachyderm.fsck import check as checks

    with connect(session.target()) as client, progress(session, "fsck") as show:
        findings = checks.fsck(
            client, now=time.time(), repair=repair, contents=contents, run_end=_local_runs(session), progress=show
        )
    document = {
        "commits": findings.commits,
        "problems": [problem.document() for problem in findings.problems],
        "repaired": [{**repaired.problem.document(), "done": repaired.done} for repaired in findings.repaired],
    }
    emit(session, document, _text(findings, repair))
    if findings.problems:
        sys.exit(1)


def _local_runs(session: Session) -> Callable[[str], str | None]:
    """Return a function that reports how a local run ended, or None if it is running or unknown.

    Runs on a cluster are unknown here; the trigger that started them ends their claims.
    """
    from workflows.runners.run_folder import RunFolder

    def over(run: str) -> str | None:
        # The id comes from the record and becomes part of a path.
        if not run or "/" in run:
            return None
        state = RunFolder(session.store / "runs" / run).state()
        return f"{state.phase.value}: {state.error}".rstrip(": ") if state is not None and state.over else None

    return over


def _text(findings: Findings, repaired: bool) -> str:
    # Commit ids stay whole: remedies quote pachctl commands, which take no prefixes.
    lines = []
    for repair in findings.repaired:
        problem = repair.problem
        lines += [f"{problem.code} {problem.where}", f"  {problem.what}", f"  repaired: {repair.done}"]
    for problem in findings.problems:
        remedy = f"--repair {problem.repair}" if problem.automatic and not repaired else problem.repair
        lines += [f"{problem.code} {problem.where}", f"  {problem.what}", f"  {remedy}"]
    lines.append(f"{findings.commits} output commits checked, {len(findings.problems)} problems")
    if findings.repaired:
        lines[-1] += f", {len(findings.repaired)} repaired"
    return "\n".join(map(escape, lines))
