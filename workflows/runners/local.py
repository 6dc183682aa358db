"""The local runner: each run is a child process with its own folder."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pachyderm.client.connection import Target
from pachyderm.errors import StorageError
from workflows.runners.compiled import named, shipped
from workflows.runners.local_child import CORRUPTED, accepted, quoted_characters
from workflows.runners.log_lines import LogFollower, cause
from workflows.runners.prepared.prepared_process import PreparedProcess, PreparedRun
from workflows.runners.processes import kill_group, kill_marked, start_of
from workflows.runners.run_folder import Request, RunFolder, RunProgress
from workflows.runners.runner import Phase, RunKey, RunState

logger = logging.getLogger(__name__)

ENDS_WITHIN = 3.0
"""Seconds that a child has to record its final state before its group is killed; for all children together on close."""

RUN = "PIX2PIX_RUN"
"""Environment variable with the run's id, for its tasks."""

MARK = "PIX2PIX_RUN_FOLDER"
"""Environment variable with the run's folder, in its process and in all of its tasks, by which `kill_marked` finds
them: two triggers in different folders of one machine start runs with the same id."""


def child_environment(target: Target, scratch: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a run's tasks: the address of the data, and the folder for scratch work.

    Args:
        target: the Pachyderm to work on.
        scratch: folder that outlives an attempt.
        environment: environment to start from, usually this process's own.
    """
    # The trigger's settings hold secrets, and no task reads them.
    inherited = {name: value for name, value in environment.items() if not name.startswith("PIX2PIX_TRIGGER_")}
    child = {**inherited, "PYTHONUNBUFFERED": "1", "PIX2PIX_SCRATCH": str(scratch), "PACH_PROJECT": target.project}
    # Each run has its own working folder, so the packages must be importable from anywhere.
    package_root = str(Path(__file__).resolve().parents[2])
    child["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), package_root)))
    for name in ("PACHD_ADDRESS", "PIX2PIX_STORE", "PACH_TOKEN"):
        child.pop(name, None)
    if target.pachd is None:
        child["PIX2PIX_STORE"] = str(target.store.resolve())
    else:
        child["PACHD_ADDRESS"] = target.pachd
    if target.token:
        child["PACH_TOKEN"] = target.token
    if environment.get("PACH_ROOT_CERTS"):
        child["PACH_ROOT_CERTS"] = str(Path(environment["PACH_ROOT_CERTS"]).resolve())
    return child


class LocalRunner:
    """Runs the pipelines of one process on this machine, in folders that any process can read.

    Args:
        folder: parent of the run folders.
        environment: environment of the tasks (see `child_environment`).
        pipelines: name -> compiled pipeline; those shipped if None.
        show: receives each line that a task prints, prefixed with the pipeline's name.
        clock: seconds since 1970.
        prepared: forks runs with the libraries imported; None starts a process for each.
    """

    name = "local"
    atomic_start = True

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str],
        pipelines: Mapping[str, Path] | None = None,
        show: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.time,
        prepared: PreparedProcess | None = None,
    ) -> None:
        self._prepared = prepared
        if prepared is not None:
            prepared.begin()
        self._folder = folder.resolve()
        self._environment = dict(environment)
        self._pipelines = shipped() if pipelines is None else pipelines
        self._show = show
        self._clock = clock
        self._children: dict[str, _Child] = {}
        self._unrecorded: dict[str, RunProgress] = {}

    def sweep(self) -> None:
        """Remove the temporary files of runs that were killed together with the process that started them."""
        for path in self._folder.iterdir() if self._folder.is_dir() else ():
            folder = RunFolder(path)
            if folder.has_temporary() and path.name not in self._children:
                state = self.state(path.name)
                if state is not None and state.over:
                    kill_marked(MARK, str(path))
                    folder.remove_temporary()

    def location(self) -> str:
        """Return this host and the folder of its runs; see `Runner.location`."""
        return f"{socket.gethostname()}:{self._folder}"

    def start(self, key: RunKey, arguments: Mapping[str, str]) -> RunState:
        """Create the run of a key; see `Runner.start`."""
        return self.begin(f"{key.pipeline}-{key.commit_set}-{key.attempt}", key.pipeline, key.display_name, arguments)

    def begin(self, run: str, pipeline: str, display_name: str, arguments: Mapping[str, str]) -> RunState:
        """Create a run with an id, or return the existing one.

        Raises:
            RunInputError: unknown pipeline, or arguments that it or `kfp.local` does not accept.
        """
        folder = RunFolder(self._folder / run)
        before = folder.state()
        if before is not None:
            return before
        package = named(self._pipelines, pipeline)
        request = Request(
            run=run,
            pipeline=pipeline,
            package=str(package.path.resolve()),
            arguments=accepted(package, arguments),
            display_name=display_name,
            started=self._clock(),
            creator=(os.getpid(), start_of(os.getpid()) or ""),
        )
        if folder.create(request):
            try:
                with folder.storing():
                    self._children[run] = self._spawn(folder, pipeline)
            except StorageError:
                # It never began, so the next request must be able to create it.
                folder.remove_temporary()
                shutil.rmtree(folder.path, ignore_errors=True)
                raise
            logger.info("run %s started", run, extra={"run": run})
        return folder.state() or RunState(run, RunKey.parse(display_name), Phase.RUNNING, started=request.started)

    def find(self, key: RunKey) -> tuple[RunState, ...]:
        """Return the run of a key, if it exists; see `Runner.find`."""
        state = self.state(f"{key.pipeline}-{key.commit_set}-{key.attempt}")
        return () if state is None else (state,)

    def state(self, run: str) -> RunState | None:
        """Return a run; kill the remains of one that vanished. See `Runner.state`."""
        if not run or Path(run).name != run:
            return None
        folder = RunFolder(self._folder / run)
        child = self._children.get(run)
        if child is not None and child.process.poll() is not None:
            self._collect(run, child)
        if run in self._unrecorded:
            self._record(folder, self._unrecorded[run])
        state = folder.state(self._unrecorded.get(run))
        if state is not None and state.phase is Phase.VANISHED:
            self._clean_up_vanished(folder, state)
        return state

    def live(self) -> tuple[RunState, ...]:
        """Return the runs of this process that are not over; those of an earlier process ended with it."""
        states = (self.state(run) for run in list(self._children))
        return tuple(state for state in states if state is not None and not state.over)

    def terminate(self, run: str, why: str) -> None:
        """Terminate a run; see `Runner.terminate`."""
        folder = RunFolder(self._folder / run)
        state, progress = self.state(run), folder.progress()
        if state is None or state.over:
            return
        with folder.storing():
            (folder.path / "terminate").write_text(why)
        child = self._children.get(run)
        pid = child.process.pid if child else progress.process[0] if progress else None
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        if child is not None:
            self._wait(run, child, Phase.TERMINATED, why)

    def poll(self) -> bool:
        """Show the tasks' output and collect children that ended; see `Runner.poll`."""
        ended = False
        for run, child in list(self._children.items()):
            over = child.process.poll() is not None
            child.show(self._show)
            if over:
                self._collect(run, child)
                ended = True
        return ended

    def close(self) -> tuple[RunState, ...]:
        """End the children by closing their lifelines; see `Runner.close`."""
        if self._prepared is not None:
            self._prepared.close()
        children = dict(self._children)
        for child in children.values():
            child.close_lifeline()
        deadline = time.monotonic() + ENDS_WITHIN
        for run, child in children.items():
            left = max(0.0, deadline - time.monotonic())
            self._wait(run, child, Phase.INTERRUPTED, "the process that started it ended", left)
        states = (self.state(run) for run in children)
        return tuple(state for state in states if state is not None)

    def _spawn(self, folder: RunFolder, pipeline: str) -> _Child:
        temporary = folder.make_temporary((*CORRUPTED, *quoted_characters()))
        marks = {RUN: folder.path.name, MARK: str(folder.path)}
        environment = {**self._environment, **marks, "TMPDIR": str(temporary)}
        with folder.log.open("ab") as log:
            process: subprocess.Popen[bytes] | PreparedRun | None = None
            if self._prepared is not None:
                process = self._prepared.start(folder.path, log.fileno(), environment)
            process = process or subprocess.Popen(
                [sys.executable, "-m", "workflows.runners.local_child", str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder.path,
                env=environment,
                start_new_session=True,
            )
        return _Child(process, LogFollower(folder.log), pipeline, start_of(process.pid) or "")

    def _wait(self, run: str, child: _Child, phase: Phase, why: str, seconds: float = ENDS_WITHIN) -> None:
        try:
            child.process.wait(seconds)
        except subprocess.TimeoutExpired:
            kill_group(child.process.pid)
            child.process.wait()
        self._collect(run, child, (phase, why))

    def _collect(self, run: str, child: _Child, end: tuple[Phase, str] | None = None) -> None:
        """Collect a child that ended: kill what is left of its tasks, and make sure that a final state is recorded.

        Args:
            run: the run.
            child: its process.
            end: the phase and its cause if the run recorded none; by default those that its exit code shows.
        """
        self._children.pop(run, None)
        child.close_lifeline()
        child.show(self._show)
        code = child.process.returncode or 0
        folder = RunFolder(self._folder / run)
        progress = folder.progress()
        if progress is None or progress.phase is Phase.RUNNING:
            kill_marked(MARK, str(folder.path))
            phase, why = end or _end_by_exit_code(code, folder.log)
            self._record(folder, RunProgress(phase, (child.process.pid, child.start), why, self._clock()))
        elif progress.phase is not Phase.SUCCEEDED:
            kill_marked(MARK, str(folder.path))
        folder.remove_temporary()

    def _clean_up_vanished(self, folder: RunFolder, state: RunState) -> None:
        """Kill what a vanished run of an earlier process left behind, and record its end."""
        killed = kill_marked(MARK, str(folder.path))
        if killed:
            logger.warning(
                "run %s vanished; killed its remaining processes: %s", state.run, killed, extra={"run": state.run}
            )
        folder.remove_temporary()
        progress = folder.progress()
        if progress is not None:
            self._record(folder, RunProgress(Phase.VANISHED, progress.process, state.error, state.ended))

    def _record(self, folder: RunFolder, progress: RunProgress) -> None:
        """Record the end of a run, or remember it until the disk has space."""
        try:
            folder.write(progress)
            self._unrecorded.pop(folder.path.name, None)
        except StorageError as error:
            logger.info("the end of run %s is not recorded yet: %s", folder.path.name, error)
            self._unrecorded[folder.path.name] = progress


@dataclass
class _Child:
    process: subprocess.Popen[bytes] | PreparedRun
    follower: LogFollower
    pipeline: str
    start: str

    def show(self, show: Callable[[str], None] | None) -> None:
        if show is not None:
            for line in self.follower.lines():
                show(f"{self.pipeline}: {line}")

    def close_lifeline(self) -> None:
        if self.process.stdin is not None and not self.process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()


def _end_by_exit_code(code: int, log: Path) -> tuple[Phase, str]:
    printed = cause(log)
    how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
    why = f"its process ended {how}{': ' + printed if printed else ''}; its log is {log}"
    return Phase.VANISHED if code < 0 else Phase.FAILED, why
