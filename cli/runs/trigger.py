"""The subcommand `trigger`: the controller that gives every commit its run.

It exists apart from the controller because who it is, how it is ended and what a person sees are a command's business.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.console import emit, say, table
from cli.options import Session, with_session

if TYPE_CHECKING:
    from workflows.daemon.signals import Interruption
    from workflows.settings.configuration import Configuration
    from workflows.trigger.controller import Outcome
    from workflows.trigger.wiring import TriggerContext


@click.command()
@click.option("--once", is_flag=True, help="Work until nothing is open, then stop.")
@click.option("--runner", metavar="NAME", help="Where the pipelines run: local or kubeflow.  [default: local]")
@click.option("--config", "file", type=click.Path(path_type=Path, dir_okay=False), help="Settings, TOML.")
@click.option("--check", is_flag=True, help="Check the settings and what they name, and start nothing.")
@with_session
def trigger(session: Session, once: bool, runner: str | None, file: Path | None, check: bool) -> None:
    """Run what the commits ask for: every commit gets its run, exactly one effect."""
    from workflows.daemon.signals import Interruption

    # Before the slow imports: process 1 of a container ignores a SIGTERM for which it has no handler.
    interruption = Interruption.of_process()
    try:
        with interruption.watched():
            done = _work(session, once, runner, file, check, interruption)
    except KeyboardInterrupt:
        # Work that `--once` was asked for is left undone.
        if once or not interruption.stop_requested:
            raise
        say(session, "stopped by SIGTERM; the next trigger goes on from here")
        return
    if done is None:
        return
    _emit(session, done)
    if any(outcome.state == "failed" for outcome in done):
        sys.exit(1)


def _work(
    session: Session, once: bool, runner: str | None, file: Path | None, check: bool, interruption: Interruption
) -> tuple[Outcome, ...] | None:
    from workflows.settings.configuration import load, with_runner
    from workflows.trigger import wiring

    configuration = load(file, os.environ)
    if runner is not None:
        configuration = with_runner(configuration, runner, "--runner")
    context = wiring.TriggerContext(
        session.target(), session.store, identity(), _teller(session, configuration), interruption=interruption
    )
    if check:
        _check(session, context, configuration)
        return None
    _log_as(session, configuration)
    return wiring.once(context, configuration) if once else wiring.serve(context, configuration)


def _teller(session: Session, configuration: Configuration) -> Callable[[str], None]:
    """What lines for a person go to: standard error, as everything else that is logged there."""
    if configuration.log == "json":
        return logging.getLogger("workflows.trigger").info
    return lambda line: say(session, line)


def identity() -> str:
    """Who decides: ``host:process``, as decisions name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _emit(session: Session, done: tuple[Outcome, ...]) -> None:
    import dataclasses

    units = [dataclasses.asdict(outcome) for outcome in done]
    rows = [{**unit, "commit_set": unit["commit_set"][:12], "error": unit["error"] or None} for unit in units]
    text = table(("commit_set", "pipeline", "state", "error"), rows) if rows else "nothing is open"
    emit(session, {"units": units}, text)


def _check(session: Session, context: TriggerContext, configuration: Configuration) -> None:
    from workflows.trigger import wiring

    findings = wiring.check(context, configuration)
    document = [{"what": what, "good": error is None, "error": error and str(error)} for what, error in findings]
    lines = "\n".join(f"{what}: {'good' if error is None else error}" for what, error in findings)
    emit(session, {"checks": document}, lines)
    for _, error in findings:
        if error is not None:
            raise error


def _log_as(session: Session, configuration: Configuration) -> None:
    if configuration.log == "json":
        from workflows.daemon.json_logs import log_json

        log_json(sys.stderr, time.time)
    elif session.verbosity == 0:
        for package in ("workflows.trigger", "workflows.daemon"):
            logging.getLogger(package).setLevel(logging.INFO)
