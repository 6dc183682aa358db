"""The memory that this process may still take."""

from __future__ import annotations

from pathlib import Path

from pix2pix.files import is_number

_GROUP = Path("/sys/fs/cgroup")
"""The container's limits (cgroup v2), which /proc/meminfo does not know."""


def free_megabytes() -> int:
    """Return the MiB that can be taken without swapping, on the machine and in the container; 1024 if unknown."""
    figures = [_available(), _left_in_container()]
    return min((f for f in figures if f is not None), default=1024)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) >> 10 for line in lines if line.startswith("MemAvailable:")), None)


def _left_in_container() -> int | None:
    try:
        limit = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = (_GROUP / "memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return max(0, int(limit) - int(used)) >> 20 if is_number(limit) else None
