"""One pass of the trigger from a script or a notebook: what `pix2pix trigger --once` does."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pachyderm.api.connect import connect
from pachyderm.api.versioned_data import VersionedData
from pix2pix.api.display import displayed, notebook_display
from workflows.daemon.signals import Interruption
from workflows.errors import RunFailedError
from workflows.settings.configuration import load, with_runner
from workflows.trigger import wiring

if TYPE_CHECKING:
    from workflows.trigger.controller import Outcome

logger = logging.getLogger(__name__)


def run_open(
    data: VersionedData | str | os.PathLike[str] | None = None,
    *,
    runner: str | None = None,
    config: str | os.PathLike[str] | None = None,
    show: Callable[[str], None] | None = None,
) -> tuple[Outcome, ...]:
    """Run the pipelines that open commits wait for, until nothing is open.

    Interrupting the kernel (or Ctrl-C) ends the runs on this machine; the next call resumes from there.

    Args:
        data: what `pachyderm.connect` returned, or what it takes.
        runner: ``local`` or ``kubeflow``; None is the one that the settings name, ``local`` by default.
        config: TOML file with the trigger's settings; variables ``PIX2PIX_TRIGGER_...`` override it.
        show: receives each line about the runs. None shows the last line in a notebook, and logs all otherwise.

    Returns:
        how each work item ended that was open: commit set, pipeline, run, state and error.

    Raises:
        RunFailedError: a run failed; the message names each, with its error.
        RunInputError: the settings are not valid.
        RequestError: the repos are not set up.
        UnreachableError: Pachyderm does not answer.
        RunnerUnreachableError: Kubeflow does not answer.
    """
    target = (data if isinstance(data, VersionedData) else connect(data)).target
    configuration = load(None if config is None else Path(config), os.environ)
    if runner is not None:
        configuration = with_runner(configuration, runner, "runner")
    # A kernel outlives its cells: no signal may end the process.
    interruption = Interruption(end_now=lambda code: None)  # noqa: ARG005
    in_main_thread = threading.current_thread() is threading.main_thread()
    by = f"{socket.gethostname()}:{os.getpid()}"
    with _lines(show) as receive, interruption.watched() if in_main_thread else nullcontext():
        context = wiring.TriggerContext(target, target.store, by, receive, interruption=interruption)
        outcomes = wiring.once(context, configuration)
    failed = [outcome for outcome in outcomes if outcome.state == "failed"]
    if failed:
        texts = "; ".join(
            f"{outcome.pipeline} of commit set {outcome.commit_set}: {outcome.error}" for outcome in failed
        )
        raise RunFailedError(failed[0].run, f"{len(failed)} of {len(outcomes)} work items failed: {texts}")
    return outcomes


@contextmanager
def _lines(show: Callable[[str], None] | None) -> Iterator[Callable[[str], None]]:
    """Provide what receives the lines: `show`, the notebook, or the log."""
    if show is not None:
        yield show
    elif notebook_display() is None:
        yield logger.info
    else:
        with displayed("runs", None) as bar:
            yield lambda line: bar(0, 0, line)
