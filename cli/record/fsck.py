"""The subcommand `fsck`: is the record true, across repos, runs and reports?

It exists so that a person, a timer and the tests ask the same question and get the same answer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from cli.console import emit, progress
from cli.options import Session, with_session

if TYPE_CHECKING:
    from pachyderm.fsck.check import Findings


@click.command()
@click.option("--repair", is_flag=True, help="Repair what can be repaired without loss, and say what was done.")
@click.option("--contents/--no-contents", default=True, show_default=True, help="Read each file's bytes as well.")
@with_session
def fsck(session: Session, repair: bool, contents: bool) -> None:
    """Check that every record is true and every commit leads somewhere; exit code 1 where problems remain."""
    from pachyderm.client.connection import connect
    from pachyderm.fsck import check as checks

    with connect(session.target()) as client, progress(session, "fsck") as show:
        found = checks.fsck(
            client, now=time.time(), repair=repair, contents=contents, run_end=_local_runs(session), progress=show
        )
    document = {
        "commits": found.commits,
        "problems": [one.document() for one in found.problems],
        "repaired": [{**one.problem.document(), "done": one.done} for one in found.repaired],
    }
    emit(session, document, _text(found, repair))
    if found.problems:
        sys.exit(1)


def _local_runs(session: Session) -> Callable[[str], str | None]:
    """How a run of this machine ended; what runs on a cluster is not known here, and its trigger ends its claims."""
    from workflows.runners.run_folder import RunFolder

    def over(run: str) -> str | None:
        # A run's id is one name; anything else is no run of this machine.
        if not run or "/" in run:
            return None
        state = RunFolder(session.store / "runs" / run).state()
        return f"{state.phase.value}: {state.error}".rstrip(": ") if state is not None and state.over else None

    return over


def _text(found: Findings, repaired: bool) -> str:
    lines = []
    for one in found.repaired:
        lines += [f"{one.problem.code} {one.problem.where}", f"  {one.problem.what}", f"  repaired: {one.done}"]
    for problem in found.problems:
        how = f"--repair {problem.repair}" if problem.automatic and not repaired else problem.repair
        lines += [f"{problem.code} {problem.where}", f"  {problem.what}", f"  {how}"]
    lines.append(f"{found.commits} output commits, {len(found.problems)} problems")
    if found.repaired:
        lines[-1] += f", {len(found.repaired)} repaired"
    return "\n".join(lines)
