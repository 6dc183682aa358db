"""Execution of a stage inside a Kubeflow task: connect, fill the output commit, write the task's artifacts."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import uuid
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from components.parameters import of_pipeline, parse_own
from components.termination import Termination
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import read
from pachyderm.dag.repos import pipeline_of
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import PachydermError
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Stage
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import REPORT_HTML, read_record
from pachyderm.shards.cut import parse
from pachyderm.shards.division import Division
from pachyderm.shards.shard_attempt import fill_shard
from pix2pix.errors import Pix2PixError
from pix2pix.escaping import escape_message, escaping_handler
from pix2pix.progress import Progress, paced
from pix2pix.tensorflow import configure_tensorflow

T = TypeVar("T")

logger = logging.getLogger(__name__)


def perform(
    stage: Stage, commit_set: str, hyperparameters: str, run: str, report: str, metrics: Any, **fields: object
) -> tuple[str, str]:
    """Fill a stage's output commit, as a Kubeflow task.

    Returns:
        id of the filled commit, and the commit set for the next task; the rest is as for `perform_or_hand_out`.
    """
    commit, next_set, _ = perform_or_hand_out(stage, commit_set, hyperparameters, "1", run, report, metrics, **fields)
    return commit, next_set


def perform_or_hand_out(
    stage: Stage,
    commit_set: str,
    hyperparameters: str,
    shards: str,
    run: str,
    report: str,
    metrics: Any,
    **fields: object,
) -> tuple[str, str, list[str]]:
    """Fill a stage's output commit, or hand its work out to shards, as a Kubeflow task.

    SIGTERM ends the task at its next report of progress: unfinished work is saved, and the claim is given back.

    Args:
        stage: to run.
        commit_set: an id, ``new``, or empty for all that is open.
        hyperparameters: of this run alone; see `components.parameters.parse_own`.
        shards: number of shards, or ``auto``; see `pachyderm.shards.cut.parse`.
        run: id of the run as Kubeflow passes it; ``PIX2PIX_RUN`` or ``KFP_RUN_ID`` in the environment take precedence.
        report: path of the HTML artifact to write.
        metrics: the ``dsl.Metrics`` artifact to fill.
        fields: hyperparameters with a field of their own in the run's form; see `components.form`.

    Returns:
        id of the commit, the commit set for the next task, and the tickets of the shards that the work was handed out
        to, empty if the commit is filled.

    Raises:
        SystemExit: the stage failed, with a message as text, or SIGTERM was received, with 143.
    """

    def fill(client: Connection, worker: Worker) -> tuple[str, str, list[str]]:
        own = of_pipeline(parse_own(hyperparameters, fields=fields), pipeline_of(stage.output).source.repo)
        division = Division(stage.name, stage.datums, parse(shards), stage.batch) if stage.datums else None
        commit, next_set = fill_set(client, stage, commit_set, own, worker, division)
        tickets = list(division.tickets) if division else []
        text = f"{commit} is {commit.state}; its work was handed out to {len(tickets)} shards." if tickets else ""
        _write_report(client, commit, Path(report), metrics, text)
        return commit.id, next_set, tickets

    return _as_task(stage, run, fill)


def perform_shard(stage: Stage, ticket: str, run: str, report: str, metrics: Any) -> str:
    """Compute a shard, and publish the output commit if all others are complete, as a Kubeflow task.

    Args:
        stage: the stage whose output commit it is.
        ticket: of the shard.
        run: see `perform_or_hand_out`, as for all others.
        report: path of the HTML artifact to write.
        metrics: the ``dsl.Metrics`` artifact to fill.

    Returns:
        id of the output commit.
    """

    def fill(client: Connection, worker: Worker) -> str:
        outcome = fill_shard(client, stage, ticket, worker)
        logger.info("%s", outcome.text)
        _write_report(client, outcome.commit, Path(report), metrics, "" if outcome.published else outcome.text)
        return outcome.commit.id

    return _as_task(stage, run, fill)


def _as_task(stage: Stage, run: str, fill: Callable[[Connection, Worker], T]) -> T:
    """Call `fill` with a connection and a worker, under the signals, logs and errors of a task."""
    logging.basicConfig(handlers=[escaping_handler("%(asctime)s %(message)s")], level=logging.WARNING, force=True)
    for package in ("components", "pachyderm", "pix2pix"):
        logging.getLogger(package).setLevel(logging.INFO)
    termination = Termination()
    if "tensorflow" in stage.versions():
        configure_tensorflow()
    try:
        with termination.watched():
            return _connected(stage, run, termination, fill)
    except (PachydermError, Pix2PixError) as error:
        # The message names the remedy; a traceback would bury it in the task's log.
        logger.debug("the task failed", exc_info=error)
        raise SystemExit(escape_message(f"{stage.name}: {error}")) from error


def _connected(stage: Stage, run: str, termination: Termination, fill: Callable[[Connection, Worker], T]) -> T:
    environment = dict(os.environ)
    target = Target.from_environment(environment)
    with connect(target) as client:
        check_set_up(client)
        worker = Worker(
            run=environment.get("PIX2PIX_RUN") or environment.get("KFP_RUN_ID") or run,
            name=f"{environment.get('KFP_POD_NAME') or os.getpid()}-{uuid.uuid4().hex[:8]}",
            scratch=_scratch(environment, target),
            progress=interruptible(logged(stage.name), termination),
            keeps=target.pachd is None or "PIX2PIX_SCRATCH" in environment,
            pause=_pause(termination),
        )
        return fill(client, worker)


def _write_report(client: Connection, commit: Commit, report: Path, metrics: Any, text: str) -> None:
    """Write the artifacts of a task: those of its output commit, or a sentence if the commit is not its own work."""
    ended = commit.ended and not text
    html = read(client, commit.repo, commit.id, REPORT_HTML) if ended else None
    record = read_record(client, commit.repo, commit.id) if ended else None
    text = text or f"{commit} is {commit.state} and has no report."
    report.write_bytes(html or f"<p>{escape(text)}</p>".encode())
    figures = {**record.metrics, **(record.gate.figures() if record.gate else {})} if record else {}
    for name, value in figures.items():
        metrics.log_metric(name, value)


def logged(stage: str, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return a progress callback that logs rate and time left; see `pix2pix.progress.paced`.

    Args:
        stage: name at the beginning of each line.
        clock: seconds, from any origin.
    """
    return paced(lambda text, note: logger.info("%s %s %s", stage, text, note), clock)


def interruptible(progress: Progress, termination: Termination) -> Progress:
    """Return a progress callback that ends the task after SIGTERM."""

    def report(done: int, total: int, note: str) -> None:
        progress(done, total, note)
        termination.check()

    return report


def _pause(termination: Termination) -> Callable[[float], None]:
    def pause(seconds: float) -> None:
        termination.check()
        time.sleep(seconds)
        termination.check()

    return pause


def _scratch(environment: dict[str, str], target: Target) -> Path:
    """Return the folder for the attempt's files; the next attempt finds it again unless it is a pod's own."""
    configured = environment.get("PIX2PIX_SCRATCH")
    if configured:
        folder = Path(configured)
    elif target.pachd is None:
        folder = target.store / "scratch"
    else:
        folder = Path(tempfile.gettempdir()) / "pix2pix-scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
