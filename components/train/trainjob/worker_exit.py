"""How a worker reports why it ended to the task that follows it: exit code, and message in its container's status."""

from __future__ import annotations

import contextlib
from pathlib import Path

PERMANENT = 65
"""Exit code of a worker whose work no retry can complete (EX_DATAERR of sysexits.h)."""

TERMINATION_LOG = Path("/dev/termination-log")
"""Where Kubernetes reads a container's last message; 4096 bytes at most."""


def leave_message(text: str, path: Path = TERMINATION_LOG) -> None:
    """Write the reason of the end, if this process is a container's."""
    with contextlib.suppress(OSError):
        if path.exists():
            path.write_bytes(text.encode()[:4096])
