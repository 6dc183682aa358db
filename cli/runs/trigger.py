"""The subcommand `trigger`: run the pipelines that open commits wait for."""

from __future__ import annotations

import dataclasses
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.console import emit, print_message, shorten, table
from cli.options import Session, settings_option, with_session
from pix2pix.escaping import escape

if TYPE_CHECKING:
    from workflows.daemon.signals import Interruption
    from workflows.settings.configuration import Configuration
    from workflows.trigger.controller import Outcome
    from workflows.trigger.wiring import TriggerContext


@click.command()
@click.option("--once", is_flag=True, help="Stop when no commit is open; exit code 1 if a run failed.")
@click.option("--runner", metavar="NAME", help="Where the pipelines run: local or kubeflow.  [default: local]")
@settings_option
@click.option("--check", is_flag=True, help="Check the settings and the services they name; start nothing.")
@with_session
def trigger(session: Session, once: bool, runner: str | None, file: Path | None, check: bool) -> None:
    """Start a run for every commit set with open output commits.

    Polls Pachyderm until SIGTERM or Ctrl-C. Every output commit is filled exactly once, however many triggers run.
    """
    from workflows.daemon.signals import Interruption

    # Before the slow imports: PID 1 of a container ignores a SIGTERM that it has no handler for.
    interruption = Interruption.of_process()
    try:
        with interruption.watched():
            units = _work(session, once, runner, file, check, interruption)
    except KeyboardInterrupt:
        # With --once an interruption leaves requested work undone; a service that stops on SIGTERM has succeeded.
        if once or not interruption.stop_requested:
            raise
        print_message(session, "stopped by SIGTERM; the next trigger resumes from here")
        return
    if units is None:
        return
    _emit(session, units)
    if any(unit.state == "failed" for unit in units):
        sys.exit(1)


def _work(
    session: Session, once: bool, runner: str | None, file: Path | None, check: bool, interruption: Interruption
) -> tuple[Outcome, ...] | None:
    """Check the settings, or run the trigger; return what ended meanwhile, or None after a check."""
    from workflows.settings.configuration import load, with_runner
    from workflows.trigger import wiring

    configuration = load(file, os.environ)
    if runner is not None:
        configuration = with_runner(configuration, runner, "--runner")
    context = wiring.TriggerContext(
        session.target(), session.store, identity(), _reporter(session, configuration), interruption=interruption
    )
    if check:
        _check(session, context, configuration)
        return None
    _set_up_logging(session, configuration)
    return wiring.once(context, configuration) if once else wiring.serve(context, configuration)


def _reporter(session: Session, configuration: Configuration) -> Callable[[str], None]:
    """Return what messages for people are written with: standard error, in the format that the log has."""
    if configuration.log == "json":
        return logging.getLogger("workflows.trigger").info
    return lambda line: print_message(session, line)


def identity() -> str:
    """Return ``host:process``, the author of this process's decisions."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _emit(session: Session, units: tuple[Outcome, ...]) -> None:
    documents = [dataclasses.asdict(unit) for unit in units]
    rows = [{**document, "commit_set": shorten(session, document["commit_set"])} for document in documents]
    text = table(("commit_set", "pipeline", "state", "error"), rows) if rows else "nothing to do: no commit is open"
    emit(session, {"units": documents}, text)


def _check(session: Session, context: TriggerContext, configuration: Configuration) -> None:
    from workflows.trigger import wiring

    findings = wiring.check(context, configuration)
    document = [{"what": what, "good": error is None, "error": error and str(error)} for what, error in findings]
    lines = "\n".join(escape(f"{what}: {'good' if error is None else error}") for what, error in findings)
    emit(session, {"checks": document}, lines)
    for _, error in findings:
        if error is not None:
            raise error


def _set_up_logging(session: Session, configuration: Configuration) -> None:
    if configuration.log == "json":
        from workflows.daemon.json_logs import log_json

        log_json(sys.stderr, time.time)
    elif session.verbosity == 0:
        for package in ("workflows.trigger", "workflows.daemon"):
            logging.getLogger(package).setLevel(logging.INFO)
