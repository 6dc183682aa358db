"""Named points in front of and behind every durable action, where a test can stop the process or make the action fail.

It exists so that "nothing is lost when the power goes" is tested at each step and not only at random moments.
A point does nothing unless the environment arms it before the process starts:

    PIX2PIX_FAILPOINTS="pack.after_rename=kill,commit.before=errno:28@3"

``kill`` ends the process with SIGKILL, ``errno:N`` raises OSError N; ``@K`` acts at the K-th pass only, without it at
every pass. The point ``*`` counts the passes through all points together.
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
"""Every failpoint of the store; `failpoint` refuses a name that is not listed."""


@dataclass
class _Armed:
    action: str
    at: int | None
    passed: int = 0


def _parse(text: str) -> dict[str, _Armed]:
    armed = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, action = item.partition("=")
        action, _, at = action.partition("@")
        if name != "*" and name not in POINTS:
            raise ValueError(f"{VARIABLE} names {name!r}, which is no failpoint; use one of {', '.join(POINTS)}")
        armed[name] = _Armed(action, int(at) if at else None)
    return armed


_armed = _parse(os.environ.get(VARIABLE, ""))
_lock = threading.Lock()


def arm(text: str) -> None:
    """Arm points of this process; `text` is as in the environment, an empty one disarms all.

    Raises:
        ValueError: it names something that is no failpoint.
    """
    armed = _parse(text)
    _armed.clear()
    _armed.update(armed)


def failpoint(name: str) -> None:
    """Do what was armed for this point; without arming, nothing.

    Raises:
        OSError: where the point is armed with ``errno:N``.
        ValueError: the name is not in `POINTS`.
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
            point.passed += 1
            due = point.at is None or point.passed == point.at
        if due:
            _act(point.action, name)


def _act(action: str, name: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action.startswith("errno:"):
        number = int(action.removeprefix("errno:"))
        raise OSError(number, os.strerror(number), name)
    else:
        raise ValueError(f"{action!r} is no action of a failpoint; use kill or errno:N")
