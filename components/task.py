"""Runs a stage inside a Kubeflow task: finds out where the data is and who asks, fills the commit, shows its report.

It exists so that a component's definition stays a few lines, and a task on a laptop and in a pod are the same code.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from components.parameters import of_pipeline, parse_own
from pachyderm.client.connection import Target, connect
from pachyderm.client.files import read
from pachyderm.dag.repos import pipeline_of
from pachyderm.dag.setup import check_set_up
from pachyderm.errors import PachydermError
from pachyderm.output.output_commit import Attempt, fill_set
from pachyderm.output.stage import Stage
from pachyderm.record.stage_record import REPORT_HTML, read_record
from pix2pix.errors import Pix2PixError
from pix2pix.tensorflow import configure_tensorflow

logger = logging.getLogger(__name__)

EVERY = 5.0
"""Seconds between two lines of progress."""


def perform(
    stage: Stage, commit_set: str, hyperparameters: str, run: str, report: str, metrics: Any
) -> tuple[str, str]:
    """Fill a stage's output commit, as a task.

    Args:
        stage: to run.
        commit_set: an id, ``new``, or empty for all that is open.
        hyperparameters: of this run alone; see `components.parameters.parse_own`.
        run: the run's id as Kubeflow puts it into the task; the environment's ``PIX2PIX_RUN`` or ``KFP_RUN_ID`` win.
        report: path of the HTML artifact to write.
        metrics: the ``dsl.Metrics`` artifact to fill.

    Returns:
        id of the filled commit, and the commit set for the next task.
    """
    environment = dict(os.environ)
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", force=True)
    for floor in ("components", "pachyderm", "pix2pix"):
        logging.getLogger(floor).setLevel(logging.INFO)
    signal.signal(signal.SIGTERM, _stop)
    if "tensorflow" in stage.versions():
        configure_tensorflow()
    target = Target.from_environment(environment)
    source = pipeline_of(stage.output).source
    try:
        own = of_pipeline(parse_own(hyperparameters), source.repo)
        with connect(target) as client:
            check_set_up(client)
            attempt = Attempt(
                run=environment.get("PIX2PIX_RUN") or environment.get("KFP_RUN_ID") or run,
                name=f"{environment.get('KFP_POD_NAME') or os.getpid()}-{uuid.uuid4().hex[:8]}",
                scratch=_scratch(environment, target),
                progress=logged(stage.name),
                keeps=target.pachd is None or "PIX2PIX_SCRATCH" in environment,
            )
            commit, next_set = fill_set(client, stage, commit_set, own, attempt)
            html = read(client, commit.repo, commit.id, REPORT_HTML) if commit.ended else None
            record = read_record(client, commit.repo, commit.id) if commit.ended else None
    except (PachydermError, Pix2PixError) as error:
        # The message is the remedy; a traceback would bury it in the task's log.
        logger.debug("the task failed", exc_info=error)
        raise SystemExit(f"{stage.name}: {error}") from error
    Path(report).write_bytes(html or f"<p>{commit} is {commit.state}, and says nothing about itself.</p>".encode())
    for name, value in (record.metrics if record else {}).items():
        metrics.log_metric(name, value)
    return commit.id, next_set


def logged(what: str, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int, str], None]:
    """A progress that writes a log line every few seconds."""
    last = [clock() - EVERY]

    def show(done: int, total: int, note: str) -> None:
        now = clock()
        if now - last[0] >= EVERY or (total and done >= total):
            last[0] = now
            logger.info("%s %d/%s %s", what, done, total or "?", note)

    return show


def _scratch(environment: dict[str, str], target: Target) -> Path:
    """Where attempts keep files: a folder that the next attempt finds, else one that is gone with the pod."""
    given = environment.get("PIX2PIX_SCRATCH")
    if given:
        folder = Path(given)
    elif target.pachd is None:
        folder = target.store / "scratch"
    else:
        folder = Path(tempfile.gettempdir()) / "pix2pix-scratch"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _stop(number: int, frame: object) -> NoReturn:  # noqa: ARG001
    raise SystemExit(128 + number)
