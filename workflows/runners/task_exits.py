"""Exit codes of the tasks of a local run; `kfp.local` 2.17 reports only success or failure."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workflows.runners.runner import Phase

OOM_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Files with a line ``oom_kill N``: of this control group, and of the whole machine."""

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class TaskExit:
    """The end of one task.

    Attributes:
        code: exit code as `subprocess` or a shell reports it: -N or 128 + N for the signal N.
        out_of_memory: whether the kernel killed a process for lack of memory while it ran.
        printed: the end of its output, if that is known.
    """

    code: int
    out_of_memory: bool = False
    printed: tuple[str, ...] = ()

    @property
    def signal(self) -> signal.Signals | None:
        """The signal that ended the task, if one did."""
        number = -self.code if self.code < 0 else self.code - 128
        with contextlib.suppress(ValueError):
            return signal.Signals(number)
        return None

    def verdict(self) -> tuple[Phase, str]:
        """Return the phase of the run whose task failed, and what to add to the task's own last output."""
        if self.signal is signal.SIGKILL and self.out_of_memory:
            return Phase.FAILED, "out of memory: the kernel killed it"
        if self.signal in _FROM_OUTSIDE:
            return Phase.INTERRUPTED, f"killed by {self.signal.name}"
        return Phase.FAILED, f"crashed with {self.signal.name}" if self.signal is not None else ""


@contextlib.contextmanager
def observed(
    kills: Callable[[], int] | None = None, printed: Callable[[], tuple[str, ...]] = tuple
) -> Iterator[list[TaskExit]]:
    """Provide the exits of the tasks that `kfp.local` runs in the block; the list grows in their order.

    Args:
        kills: returns the number of processes that the kernel has killed for lack of memory; `oom_kills` if None.
        printed: returns the end of the output of the task that this thread ran last.
    """
    from kfp.local import subprocess_task_handler

    count, original = kills or oom_kills, subprocess_task_handler.run_local_subprocess
    exits: list[TaskExit] = []

    def run(*args: Any, **kwargs: Any) -> int:
        before = count()
        code = int(original(*args, **kwargs))
        exits.append(TaskExit(code, count() > before, printed()))
        return code

    subprocess_task_handler.run_local_subprocess = run
    try:
        yield exits
    finally:
        subprocess_task_handler.run_local_subprocess = original


def oom_kills(files: tuple[Path, ...] = OOM_COUNTERS) -> int:
    """Return the number of processes that the kernel has killed for lack of memory; 0 if it cannot be read."""
    total = 0
    for file in files:
        with contextlib.suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                name, _, value = line.partition(" ")
                total += int(value) if name == "oom_kill" else 0
    return total
