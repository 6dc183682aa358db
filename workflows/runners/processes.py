"""Identity and termination of the processes that belong to a run."""

from __future__ import annotations

import contextlib
import os
import signal
from functools import cache
from pathlib import Path

import psutil


@cache
def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def start_of(pid: int) -> str | None:
    """Return a text that no other process with this id ever has; None if no process with this id is alive.

    Process ids are recycled, and a run must neither be taken for alive because a stranger got its id, nor a stranger
    be killed for it. A zombie (ended and not yet collected by its parent) counts as ended.
    """
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        # Relative to the boot: psutil adds the boot time to the kernel's value, and a step of the wall clock moves it.
        since_boot = process.create_time() - psutil.boot_time()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None
    return f"{_boot()}:{since_boot:.2f}"


def is_alive(pid: int, start: str) -> bool:
    """Return whether the process that had this id and this `start_of` is alive."""
    return start_of(pid) == start


def kill_marked(name: str, value: str) -> list[int]:
    """Kill every other process of this user whose initial environment has ``name=value``; return their ids.

    This reaches tasks that left their process group or lost their parent.
    """
    killed = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                process.kill()
                killed.append(process.pid)
    return killed


def kill_group(group: int) -> None:
    """Kill a process group, if it exists.

    One system call: a walk over the children would miss orphans, and those forked meanwhile.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
