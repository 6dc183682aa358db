"""Tells processes of this machine apart beyond their id, and ends those that belong to a run.

It exists because a process id is recycled: a run that vanished must not be taken for a stranger who got its id, and a
stranger must never be killed for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


@cache
def _boot() -> str:
    with contextlib.suppress(OSError):
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def born(pid: int) -> str | None:
    """A text that no other process with this id ever has, or None where no process with this id lives.

    A zombie (over, and not yet collected by its parent) counts as gone.
    """
    if (_PROC / "self/stat").exists():
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            return None
        # The second field, the name, may hold spaces and parentheses; the third is the state, the 22nd the start.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"{_boot()}:{fields[19]}"
    # No /proc (macOS): ps knows the start to the second.
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, start = answer.stdout.strip().partition(" ")
    return None if not start or state.startswith("Z") else start.strip()


def lives(pid: int, its_birth: str) -> bool:
    """Whether the very process that had this id at that birth still lives."""
    return born(pid) == its_birth


def kill_marked(name: str, value: str, spare: int = 0) -> list[int]:
    """Kill every process that was started with ``name=value`` in its environment, except `spare`.

    Works where /proc does; elsewhere nothing is found. Returns the ids.
    """
    mark = f"{name}={value}".encode()
    killed = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdigit() or int(entry.name) in (spare, os.getpid()):
            continue
        try:
            marked = mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if marked:
            with contextlib.suppress(OSError):
                os.kill(int(entry.name), signal.SIGKILL)
                killed.append(int(entry.name))
    return killed


def kill_group(group: int) -> None:
    """Kill a process group, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
