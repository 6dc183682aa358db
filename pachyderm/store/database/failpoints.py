"""Fault injection before and after every durable action, for the crash tests.

A failpoint does nothing unless the environment arms it before the process starts:

    PIX2PIX_FAILPOINTS="pack.after_rename=kill,commit.before=errno:28@3"

``kill`` ends the process with SIGKILL, ``errno:N`` raises OSError N. ``@K`` acts on the K-th pass only, otherwise every
pass does. The name ``*`` counts the passes through all failpoints together.
"""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass

VARIABLE = "PIX2PIX_FAILPOINTS"

POINTS = (
    "folder.before_create",
    "folder.after_create",
    "schema.before",
    "schema.after",
    "pack.before_open",
    "pack.before_write",
    "pack.after_write",
    "pack.before_sync",
    "pack.after_sync",
    "pack.before_rename",
    "pack.after_rename",
    "pack.before_folder_sync",
    "pack.after_folder_sync",
    "commit.begin",
    "commit.before",
    "commit.after",
    "gc.before_unlink",
    "gc.after_unlink",
    "repair.before_move",
    "repair.after_move",
)
"""Every failpoint of the store; `failpoint` raises for any other name."""


@dataclass
class _Armed:
    action: str
    due: int | None
    passes: int = 0


def _parse(text: str) -> dict[str, _Armed]:
    armed = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = item.partition("=")
        action, _, due = action.partition("@")
        if name != "*" and name not in POINTS:
            raise ValueError(f"{VARIABLE}: {name!r} is not a failpoint; use one of {', '.join(POINTS)}")
        armed[name] = _Armed(action, int(due) if due else None)
    return armed


_armed = _parse(os.environ.get(VARIABLE, ""))
_lock = threading.Lock()


def arm(text: str) -> None:
    """Arm failpoints of this process.

    Args:
        text: as in the environment variable; empty disarms all.

    Raises:
        ValueError: a name is not in `POINTS`.
    """
    armed = _parse(text)
    _armed.clear()
    _armed.update(armed)


def failpoint(name: str) -> None:
    """Perform the action armed for this failpoint, if any.

    Raises:
        OSError: the failpoint is armed with ``errno:N``.
        ValueError: a failpoint is armed and `name` is not in `POINTS`.
    """
    if not _armed:
        return
    if name not in POINTS:
        raise ValueError(f"{name!r} is not in POINTS")
    for key in (name, "*"):
        point = _armed.get(key)
        if point is None:
            continue
        with _lock:
            point.passes += 1
            due = point.due is None or point.passes == point.due
        if due:
            _act(point.action, name)


def _act(action: str, name: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("errno:"):
        number = int(action.removeprefix("errno:"))
        raise OSError(number, os.strerror(number), name)
    else:
        raise ValueError(f"{action!r} is not an action of a failpoint; use kill or errno:N")
