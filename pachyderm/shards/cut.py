"""The cut of the datums of an output commit into shards of about equal work."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from pachyderm.errors import RequestError

AUTO = "auto"
"""As many shards as the work asks for."""

FILES = 2000
"""Files that a shard holds with `AUTO`: minutes of work at 256 pixels, where a task takes seconds to start."""

BYTES = 1 << 30
"""Bytes of input that a shard holds with `AUTO`; they are downloaded before the work begins."""

MOST = 1000
"""Maximum number of shards: a workflow's state, which names each pod, is an object of limited size in Kubernetes."""


def parse(text: str) -> int | None:
    """Parse the parameter ``shards``; None stands for `AUTO`.

    Raises:
        RequestError: neither ``auto`` nor a number from 1 to `MOST`.
    """
    if text == AUTO:
        return None
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MOST:
        raise RequestError(f"shards = {text!r} is not allowed; it must be {AUTO!r} or a number from 1 to {MOST}")
    return int(text)


def cut(sizes: Sequence[int], shards: int | None, multiple: int = 1) -> list[range]:
    """Cut datums into consecutive shards of about equal work: equal in files and bytes, each relative to its target.

    Args:
        sizes: bytes of each datum.
        shards: number of shards, at most as many as there are multiples; None for as many as the targets ask for.
        multiple: each shard but the last holds a multiple of this many datums.

    Returns:
        the indices of each shard, none of them empty.
    """
    weights = [1 / FILES + size / BYTES for size in sizes]
    blocks = math.ceil(len(sizes) / multiple)
    wanted = max(len(sizes) / FILES, sum(sizes) / BYTES) if shards is None else shards
    count = max(1, min(math.ceil(wanted), blocks, MOST))
    found: list[range] = []
    total, done, start = sum(weights), 0.0, 0
    for block in range(blocks):
        end = min((block + 1) * multiple, len(sizes))
        done += sum(weights[block * multiple : end])
        left, missing = blocks - block - 1, count - len(found) - 1
        # Enough blocks must be left for the shards that follow; rounding must not make one more than were asked for.
        full = missing and (done >= total * (len(found) + 1) / count - 1e-12 or left == missing)
        if full or not left:
            found.append(range(start, end))
            start = end
    return found
