"""The process of one local run: carries a pipeline out with `kfp.local`, and says on disk how it ended.

It exists so that a run can crash, be killed or be interrupted without its trigger, and never outlives it unnoticed:
standard input is a pipe that the trigger holds open, and its end is the trigger's end.

Started as ``python -m workflows.runners.local_child RUN_FOLDER`` in a session of its own.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import sys
import tempfile
import threading
import time
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml

from workflows.runners.log_lines import cause, plain
from workflows.runners.processes import born, kill_group
from workflows.runners.run_folder import Request, RunFolder, RunProgress
from workflows.runners.runner import Phase
from workflows.runners.task_exits import TaskExit, observed

CORRUPTED = ("python3", "{{")
"""Texts that `kfp.local` 2.17 rewrites or trips over in paths and values (seen; kubeflow/pipelines#14459)."""

STARTER_ENDS_TOO = 1.0
"""Seconds after a SIGTERM within which the end of the starter shows that the whole machine or session is ending."""


class Run:
    """One run: its folder, and its one last word, whoever gives it first."""

    def __init__(self, folder: RunFolder, lifeline: int) -> None:
        self.folder = folder
        self._lifeline = lifeline
        self._process = (os.getpid(), born(os.getpid()) or "")
        self._ended = threading.Lock()

    def begin(self) -> None:
        """Say that it runs, unless whoever started it is gone already; from now on, see that one's end."""
        if self._starter_gone(0.0):
            self.end_now(Phase.INTERRUPTED, "the process that started it ended before the run began")
        self.folder.write(RunProgress(Phase.RUNNING, self._process))
        signal.signal(signal.SIGTERM, self._terminated)
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def end(self, phase: Phase, error: str = "", outputs: dict[str, dict[str, str]] | None = None) -> bool:
        """Write the last word; False where another thread has written one."""
        if not self._ended.acquire(blocking=False):
            return False
        self.folder.write(RunProgress(phase, self._process, error, time.time(), outputs or {}))
        return True

    def end_now(self, phase: Phase, error: str) -> NoReturn:
        """Write the last word and kill the whole group, this process and its tasks."""
        self.end(phase, error)
        kill_group(os.getpgid(0))
        os._exit(1)

    def _starter_gone(self, timeout: float) -> bool:
        readable, _, _ = select.select([self._lifeline], [], [], timeout)
        return bool(readable)

    def _watch(self) -> None:
        self._starter_gone(1e9)
        self.end_now(Phase.INTERRUPTED, "the process that started it ended")

    def _terminated(self, number: int, frame: types.FrameType | None) -> None:  # noqa: ARG002
        asked = self.folder.path / "terminate"
        if asked.exists():
            self.end_now(Phase.TERMINATED, asked.read_text().strip())
        if self._starter_gone(STARTER_ENDS_TOO):
            self.end_now(Phase.INTERRUPTED, "the process that started it ended")
        self.end_now(Phase.INTERRUPTED, "it was ended by SIGTERM")


def carry_out(request: Request, root: Path) -> dict[str, dict[str, str]]:
    """Run the pipeline, each task as a child process.

    Args:
        request: what to run.
        root: folder for what the tasks hand over; its path holds none of `CORRUPTED`.

    Returns:
        task -> output -> value; values that are no text as JSON.

    Raises:
        RuntimeError: a task failed.
    """
    from kfp import components, local

    warnings.filterwarnings("ignore", message="You may be attemping to run a task")  # sic
    warnings.filterwarnings("ignore", message=r"Task '.*': settings .* have no effect")
    # raise_on_error=False would make a failure invisible.
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=True)
    with _plain_executable():
        components.load_component_from_text(_tried_once(Path(request.package)))(**request.arguments)
    return _outputs(root)


def _tried_once(package: Path) -> str:
    """The compiled pipeline without its retries, which are for pods that a cluster takes away.

    `kfp.local` 2.17 carries them out whatever the error: a minute and a half of waiting for what cannot work. A run
    that may work the next time is tried again by the trigger.
    """
    documents = list(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    for document in documents:
        for part in (document.get("root", {}), *document.get("components", {}).values()):
            for task in part.get("dag", {}).get("tasks", {}).values():
                task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents)


@contextmanager
def _plain_executable() -> Iterator[None]:
    """Reach this Python by a path without spaces: `kfp.local` 2.17 puts it into a shell script as it is.

    The link is to the environment's folder, not to the program, whose own place tells Python which packages it has.
    """
    executable = Path(sys.executable)
    if shlex.quote(sys.executable) == sys.executable:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="pix2pix-python-") as folder:
        link = Path(folder) / "environment"
        link.symlink_to(executable.parent.parent, target_is_directory=True)
        sys.executable = str(link / executable.parent.name / executable.name)
        try:
            yield
        finally:
            sys.executable = str(executable)


def _outputs(root: Path) -> dict[str, dict[str, str]]:
    found = {}
    for path in sorted(root.glob("*/*/executor_output.json")):
        values = json.loads(path.read_text() or "{}").get("parameterValues", {})
        found[path.parent.name] = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()
        }
    return found


def main(folder: RunFolder, lifeline: int) -> int:
    """Carry the run of a folder out; the exit code says whether it succeeded."""
    run = Run(folder, lifeline)
    request = folder.request()
    if request is None:
        sys.stderr.write(f"{folder.path} holds no run\n")
        return 2
    run.begin()
    own_root = folder.path / "root"
    with observed() as exits:
        try:
            if any(text in str(own_root) for text in CORRUPTED):
                with tempfile.TemporaryDirectory(prefix="pix2pix-run-") as elsewhere:
                    outputs = carry_out(request, Path(elsewhere))
            else:
                outputs = carry_out(request, own_root)
        except Exception as error:  # noqa: BLE001 - whatever ended the run is its last word
            sys.stdout.flush()
            run.end(*_verdict(folder, error, exits[-1] if exits else TaskExit(1)))
            return 1
    run.end(Phase.SUCCEEDED, outputs=outputs)
    return 0


def _verdict(folder: RunFolder, error: Exception, last: TaskExit) -> tuple[Phase, str]:
    """How a run ended that an error of `kfp.local` ended, and why."""
    inner = plain(str(error)) or type(error).__name__
    if last.code == 0:
        return Phase.FAILED, inner
    phase, end = last.verdict()
    # What a task that was killed printed last is no cause.
    printed = "" if end else cause(folder.log)
    return phase, f"{printed or end} ({inner})" if printed or end else inner


def _own_lifeline() -> int:
    """Move standard input, the lifeline, out of the tasks' reach."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return lifeline


if __name__ == "__main__":
    sys.exit(main(RunFolder(Path(sys.argv[1])), _own_lifeline()))
