"""The local runner's side of the prepared process: starts it, keeps it for a bounded time, and asks it for runs."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from workflows.runners.prepared.fork_server import MARK_SPACE, READY, Fork
from workflows.runners.processes import kill_group

logger = logging.getLogger(__name__)

LIFETIME = 3600.0
"""Seconds after which the process is replaced."""

PACKAGES = ("components", "pachyderm", "pix2pix", "workflows")


MODULES = (
    "kfp.local",
    "kfp.dsl.executor_main",
    "components.task",
    "components.registry",
    "pachyderm.api.connect",
    "pachyderm.store.rpc.inprocess_channel",
    "pix2pix.datasets.resize",
    "pix2pix.inference.evaluate",
    "pix2pix.inference.export",
    "pix2pix.inference.generate",
    "pix2pix.inference.suitability",
    "pix2pix.training.train",
)
"""Modules whose imports take most of a task's start."""


class PreparedRun:
    """A run that was forked; the interface of `subprocess.Popen` that the local runner uses.

    Attributes:
        pid: id of its process.
        stdin: its lifeline.
        returncode: its exit code once it has ended.
    """

    def __init__(self, fork: Fork, stdin: IO[bytes]) -> None:
        self._fork, self.pid, self.stdin = fork, fork.pid, stdin

    @property
    def returncode(self) -> int | None:
        """The exit code once `poll` or `wait` has seen its end."""
        return self._fork.returncode

    def poll(self) -> int | None:
        """Return the exit code, or None while it runs."""
        return self.returncode if self.returncode is not None or not self._ended(0.0) else self._fork.wait()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end.

        Raises:
            subprocess.TimeoutExpired: it did not end in time.
        """
        if self.returncode is None and timeout is not None and not self._ended(timeout):
            raise subprocess.TimeoutExpired("a prepared run", timeout)
        return self._fork.wait()

    def _ended(self, timeout: float) -> bool:
        return bool(select.select([self._fork], [], [], max(0.0, timeout))[0])


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    connection: socket.socket
    stamp: object
    started: float
    ready: bool = False


class PreparedProcess:
    """Keeps a process with the libraries imported, and forks runs from it.

    A run gets a process of its own instead (`start` returns None) while it is not ready, after code or libraries
    changed on disk, on a machine with a GPU, and where it has ended.

    Args:
        environment: the environment of the runs, apart from what `start` is given.
        mark: environment variable with a run's folder.
        clock: seconds from any origin.
        modules: what the process imports.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        mark: str,
        clock: Callable[[], float] = time.monotonic,
        modules: Sequence[str] = MODULES,
    ) -> None:
        self._modules = tuple(modules)
        self._environment, self._mark, self._clock = dict(environment), mark, clock
        self._current: _Process | None = None
        self._unsuitable = sys.platform != "linux"

    def begin(self) -> None:
        """Start the process, unless it runs; does not wait for it."""
        if self._unsuitable or self._current is not None:
            return
        stamp = _stamp()  # before the imports: a change meanwhile is noticed
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = [sys.executable, "-m", "workflows.runners.prepared.prepared_run"]
        with theirs:
            process = subprocess.Popen(
                [*program, str(theirs.fileno()), self._mark, *self._modules],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env={**self._environment, self._mark: "-" * MARK_SPACE},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._current = _Process(process, ours, stamp, self._clock())

    def start(self, folder: Path, log: int, environment: Mapping[str, str]) -> PreparedRun | None:
        """Fork the run of a folder; None if it must be started another way.

        Args:
            folder: the run's folder.
            log: descriptor that its output goes to.
            environment: the complete environment of the run.
        """
        current = self._usable()
        if current is None or len(environment[self._mark].encode()) > MARK_SPACE - 8:
            return None
        lifeline, end = os.pipe()
        wanted = {"folder": str(folder), "environment": dict(environment), "mark": self._mark}
        fork = Fork.request(current.connection, wanted, lifeline, log)
        os.close(lifeline)
        stdin = os.fdopen(end, "wb")
        if fork is None:
            stdin.close()
            self.close()
            return None
        return PreparedRun(fork, stdin)

    def is_ready(self) -> bool:
        """Return whether the next run would be forked; begin another process if this one cannot be used."""
        return self._usable() is not None

    def close(self) -> None:
        """End the process; runs that were forked from it go on."""
        current, self._current = self._current, None
        if current is not None:
            current.connection.close()
            if not current.ready:
                kill_group(current.process.pid)
            with contextlib.suppress(subprocess.TimeoutExpired):
                current.process.wait(2.0)

    def _usable(self) -> _Process | None:
        """Return the process if forks of it equal new processes; else begin another one."""
        current = self._current
        if current is not None and (
            current.process.poll() is not None
            or self._clock() - current.started > LIFETIME
            or current.stamp != _stamp()
        ):
            logger.info("the prepared process is replaced")
            self.close()
            current = None
        if current is None:
            self.begin()
            return None
        if not current.ready and select.select([current.connection], [], [], 0)[0]:
            message = current.connection.recv(64)
            current.ready = message == READY
            if not current.ready:
                self._unsuitable = bool(message)
                self.close()
                return None
        return current if current.ready else None


def _stamp() -> object:
    """Return a value that changes when code of this project or an installed library changes on disk."""
    root = Path(__file__).resolve().parents[3]
    files = [file for name in PACKAGES for file in sorted((root / name).rglob("*.py"))]
    libraries = [Path(folder) for folder in sys.path if folder.endswith("site-packages")]
    return [(str(path), (found := path.stat()).st_mtime_ns, found.st_size) for path in (*files, *libraries)]
