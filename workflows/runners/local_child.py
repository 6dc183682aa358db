"""The process of one local run: executes a pipeline with `kfp.local`, and records on disk how it ended.

Started as ``python -m workflows.runners.local_child RUN_FOLDER`` in its own session. Standard input is a pipe that the
trigger holds open (the lifeline): end of file means that the trigger has ended, and the run must not outlive it.
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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import yaml

from workflows.errors import RunInputError
from workflows.runners.compiled import CompiledPipeline
from workflows.runners.local_loops import local_loops, most_at_once, printed_by_task
from workflows.runners.log_lines import cause, cause_in, plain
from workflows.runners.processes import kill_group, start_of
from workflows.runners.run_folder import Request, RunFolder, RunProgress
from workflows.runners.runner import Phase
from workflows.runners.task_exits import TaskExit, observed

CORRUPTED = ("python3", "{{")
"""Texts in paths and values that `kfp.local` 2.17 rewrites or fails on (kubeflow/pipelines#14459)."""

LONGEST_VALUE = 100_000
"""Bytes of all arguments together; `kfp.local` passes them in one command line argument (Linux: 128 KiB)."""

STARTER_ENDS_TOO = 1.0
"""Seconds after a SIGTERM within which the starter's end shows that the whole machine or session is shutting down."""


class Run:
    """A run and its final state, which is recorded once, by whichever thread comes first."""

    def __init__(self, folder: RunFolder, lifeline: int) -> None:
        self.folder = folder
        self._lifeline = lifeline
        self._process = (os.getpid(), start_of(os.getpid()) or "")
        self._ended = threading.Lock()

    def begin(self) -> None:
        """Record that it runs, unless its starter has ended already, and watch the starter from now on."""
        if self._starter_gone(0.0):
            self.end_now(Phase.INTERRUPTED, "the process that started it ended before the run began")
        self.folder.write(RunProgress(Phase.RUNNING, self._process))
        signal.signal(signal.SIGTERM, self._terminated)
        threading.Thread(target=self._watch, name="lifeline", daemon=True).start()

    def end(self, phase: Phase, error: str = "", outputs: dict[str, dict[str, str]] | None = None) -> bool:
        """Record the final state; return False if another thread has recorded one."""
        if not self._ended.acquire(blocking=False):
            return False
        self.folder.write(RunProgress(phase, self._process, error, time.time(), outputs or {}))
        return True

    def end_now(self, phase: Phase, error: str) -> NoReturn:
        """Record the final state and kill the process group: this process and its tasks."""
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
        request = self.folder.path / "terminate"
        if request.exists():
            self.end_now(Phase.TERMINATED, request.read_text().strip())
        if self._starter_gone(STARTER_ENDS_TOO):
            self.end_now(Phase.INTERRUPTED, "the process that started it ended")
        self.end_now(Phase.INTERRUPTED, "it was stopped by SIGTERM")


def execute(request: Request, root: Path) -> dict[str, dict[str, str]]:
    """Execute the pipeline, each task as a child process.

    Args:
        request: the request.
        root: folder of the tasks' artifacts; its path contains none of `CORRUPTED`.

    Returns:
        task -> output -> value; values other than text as JSON.

    Raises:
        RuntimeError: a task failed.
    """
    from kfp import components, local

    warnings.filterwarnings("ignore", message="You may be attemping to run a task")  # sic
    warnings.filterwarnings("ignore", message=r"Task '.*': settings .* have no effect")
    # With raise_on_error=False a failure would go unnoticed.
    workspace = root / "workspace"  # by default a folder in the system's temporary folder, which nothing removes
    workspace.mkdir(parents=True, exist_ok=True)
    local.init(
        local.SubprocessRunner(use_venv=False),
        pipeline_root=str(root),
        workspace_root=str(workspace),
        raise_on_error=True,
    )
    with _plain_executable(), local_loops(most_at_once()):
        components.load_component_from_text(_without_retries(Path(request.package)))(**request.arguments)
    return _outputs(root)


def _without_retries(package: Path) -> str:
    """Return the compiled pipeline without its retries, which are meant for pods that a cluster takes away.

    `kfp.local` 2.17 retries whatever the error, and a hopeless task would take a minute and a half longer. Retries of
    local runs are the trigger's.
    """
    documents = list(yaml.safe_load_all(package.read_text(encoding="utf-8")))
    for document in documents:
        for part in (document.get("root", {}), *document.get("components", {}).values()):
            for task in part.get("dag", {}).get("tasks", {}).values():
                task.pop("retryPolicy", None)
    return yaml.safe_dump_all(documents)


def accepted(package: CompiledPipeline, arguments: Mapping[str, str]) -> dict[str, object]:
    """Return the typed arguments of a local run.

    Raises:
        RunInputError: the pipeline or `kfp.local` does not accept them.
    """
    typed = package.typed(arguments)
    for text in CORRUPTED:
        for name, value in arguments.items():
            if text in value:
                raise RunInputError(
                    f"{name} contains {text!r}, which kfp.local 2.17 corrupts; use another value, or --runner kubeflow"
                )
    size = len(json.dumps(typed))
    if size > LONGEST_VALUE:
        raise RunInputError(
            f"the arguments of {package.name} are {size:,} bytes long, and a local run accepts {LONGEST_VALUE:,}; "
            f"put them into /pix2pix.toml instead"
        )
    return typed


def quoted_characters() -> str:
    """Return the characters that no path to this Python may contain: those of a shell, if its own path has one of them.

    The link that `_plain_executable` makes is among the run's temporary files.
    """
    return "" if shlex.quote(sys.executable) == sys.executable else " \t'\"\\()&;|<>$`*?[]#~!{}"


@contextmanager
def _plain_executable() -> Iterator[None]:
    """Provide a path of this Python without spaces: `kfp.local` 2.17 puts it into a shell script unquoted.

    The link points to the environment's folder, not to the program: Python finds its packages by the program's path.
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
    for path in sorted(root.glob("*/*/executor_output.json")):  # those of shards are deeper
        values = json.loads(path.read_text() or "{}").get("parameterValues", {})
        found[path.parent.name] = {
            name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()
        }
    return found


def main(folder: RunFolder, lifeline: int) -> int:
    """Execute the run of a folder; return the exit code, 0 for success."""
    run = Run(folder, lifeline)
    request = folder.request()
    if request is None:
        sys.stderr.write(f"no run found in {folder.path}\n")
        return 2
    run.begin()
    own_root = folder.path / "root"
    with observed(printed=printed_by_task) as exits:
        try:
            if any(text in str(own_root) for text in CORRUPTED):
                with tempfile.TemporaryDirectory(prefix="pix2pix-run-") as elsewhere:
                    outputs = execute(request, Path(elsewhere))
            else:
                outputs = execute(request, own_root)
        except Exception as error:  # noqa: BLE001 - whatever the error, it is the run's final state
            sys.stdout.flush()
            run.end(*_verdict(folder, error, next((end for end in exits if end.code), TaskExit(0 if exits else 1))))
            return 1
    run.end(Phase.SUCCEEDED, outputs=outputs)
    return 0


def _verdict(folder: RunFolder, error: Exception, last: TaskExit) -> tuple[Phase, str]:
    """Return the phase and cause of a run that `kfp.local` ended with an error."""
    inner = plain(str(error)) or type(error).__name__
    if last.code == 0:
        return Phase.FAILED, inner
    phase, end = last.verdict()
    # The last output of a task that was killed is not the cause.
    printed = "" if end else cause_in(last.printed) or cause(folder.log)
    return phase, f"{printed or end} ({inner})" if printed or end else inner


def own_lifeline() -> int:
    """Move standard input, the lifeline, to a descriptor that the tasks do not inherit."""
    lifeline = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return lifeline


if __name__ == "__main__":
    sys.exit(main(RunFolder(Path(sys.argv[1])), own_lifeline()))
