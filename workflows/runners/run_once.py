"""One run of a pipeline on this machine, outside the trigger."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pachyderm.client.connection import Target, connect
from pachyderm.queue.open_commits import give_back_claims_of
from workflows.runners.local import LocalRunner, child_environment
from workflows.runners.runner import Phase, RunState

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunResult:
    """How a run ended.

    Attributes:
        run: its id.
        state: its final state.
        outputs: task -> output -> value.
        log: path of its log.
    """

    run: str
    state: RunState
    outputs: Mapping[str, Mapping[str, str]]
    log: Path


def run_once(
    pipeline: str,
    arguments: Mapping[str, str],
    target: Target,
    runs_folder: Path,
    show: Callable[[str], None] | None = None,
    pipelines: Mapping[str, Path] | None = None,
) -> RunResult:
    """Run one pipeline on this machine and wait for its end.

    Args:
        pipeline: its name.
        arguments: parameter -> value as text.
        target: the Pachyderm to work on.
        runs_folder: parent of the run's folder; scratch work is beside it.
        show: receives each line that a task prints.
        pipelines: name -> compiled pipeline; those shipped if None.

    Returns:
        how it ended; a failed run is not an exception.

    Raises:
        RunInputError: unknown pipeline, or arguments that it does not accept.
        KeyboardInterrupt: passed on after the run and its tasks have ended.
    """
    environment = child_environment(target, runs_folder.resolve().parent / "scratch", os.environ)
    runner = LocalRunner(runs_folder, environment, pipelines, show)
    runner.sweep()
    run = f"{pipeline}-{uuid.uuid4().hex[:12]}"
    try:
        state = runner.begin(run, pipeline, run, arguments)
        while not runner.poll():
            time.sleep(0.05)
    finally:
        for ended in runner.close():
            logger.info("run %s: %s", ended.run, ended.phase)
        last = runner.state(run)
        if last is not None and last.phase is not Phase.SUCCEEDED:
            with connect(target) as client:
                give_back_claims_of(client, run, f"run {run} is over: {last.phase}")
    state = last or state
    return RunResult(run, state, state.outputs or {}, Path(state.link))
