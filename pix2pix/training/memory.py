"""How much memory this process may still take.

It exists so that caching stops short of the limit of a container, which the machine's own figure does not know.
"""

from __future__ import annotations

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def free_megabytes() -> int:
    """Megabytes that can be taken without swapping, of the machine and of the container; 1024 where nothing says."""
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
    return max(0, int(limit) - int(used)) >> 20 if limit.isdigit() else None
