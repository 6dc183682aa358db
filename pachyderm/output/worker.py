"""The worker that fills output commits: a task of a run, its folders and its clocks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Worker:
    """Who fills output commits, and with what.

    Attributes:
        run: id of the run, which the trigger knows too; attempts of one run replace each other (`claims.predecessor`).
        name: unique among the attempts of all runs.
        scratch: folder for this attempt's files and for those that the next attempt should find.
        progress: called as ``progress(done, total, note)``.
        keeps: whether the next attempt finds this scratch folder again. If it does not, as in a pod, unfinished work is
            kept in Pachyderm.
        now: returns seconds since 1970.
        clock: returns seconds since any fixed moment; measures how long a claim has been silent.
        pause: waits for the given number of seconds; how often it is called is unspecified.
    """

    run: str
    name: str
    scratch: Path
    progress: Callable[[int, int, str], None]
    keeps: bool = True
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
