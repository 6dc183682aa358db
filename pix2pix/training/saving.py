"""Decides when a training saves its state, and stores it in the background."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

FIRST = 20.0
"""Seconds of training before the first save, which measures what a save costs."""

AT_LEAST = 10.0
"""Seconds between two saves, however cheap: each is a commit where states are stored on a server."""

BLOCKED_SHARE = 0.01
"""Share of the time for which training may stand still to be saved."""

BACKGROUND_SHARE = 0.05
"""Share of the time for which a save may be under way. On a CPU it takes one core from the training meanwhile."""


@dataclass(frozen=True)
class Cost:
    """What the last save cost.

    Attributes:
        blocked: seconds for which the training stood still.
        whole: seconds from the copy of the weights until the state was stored.
    """

    blocked: float
    whole: float


def seconds_between_saves(limit: float, cost: Cost | None) -> float:
    """Seconds of training after which its state is worth a save.

    A save is due as soon as the work that it protects outweighs its cost. One that takes less than a twentieth of
    `limit` is complete at most `limit` seconds after the copy before it; a slower one keeps to its shares of the time.

    Args:
        limit: the most work that may be lost, seconds, where saves are cheap.
        cost: of the last save; None before the first.
    """
    if cost is None:
        return min(FIRST, limit / 2)
    wanted = max(AT_LEAST, cost.blocked / BLOCKED_SHARE, cost.whole / BACKGROUND_SHARE)
    return min(wanted, limit - cost.whole) if cost.whole < BACKGROUND_SHARE * limit else wanted


def _one_thread() -> Executor:
    return ThreadPoolExecutor(1, "saving", initializer=_give_way)


def _give_way() -> None:
    """Let the training's own threads go first; Linux has a priority for each thread."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class Saver:
    """Stores states one at a time, while the training goes on.

    An error of the background is raised by the next call of any method, in the thread that trains.
    """

    def __init__(
        self, limit: float, clock: Callable[[], float], background: Callable[[], Executor] = _one_thread
    ) -> None:
        """Begin to count the work.

        Args:
            limit: see `seconds_between_saves`; 0 means that no save is ever due.
            clock: seconds.
            background: makes what runs the part of a save that training does not wait for, one call after another.
        """
        self._limit, self._clock, self._background = limit, clock, background()
        self._saved_at = clock()
        self._cost: Cost | None = None
        self._under_way: Future[Cost] | None = None

    def is_due(self) -> bool:
        """Tell whether the work since the last save is worth another one, and no save is under way."""
        if self._under_way is not None and self._under_way.done():
            self.wait()
        if not self._limit or self._under_way is not None:
            return False
        return self._clock() - self._saved_at >= seconds_between_saves(self._limit, self._cost)

    def save(self, copy: Callable[[], Callable[[], None]]) -> None:
        """Save, behind a save that is under way.

        Args:
            copy: copies the state, which the training waits for; what it returns stores the copy in the background.
        """
        self.wait()
        started = self._saved_at = self._clock()
        store = copy()
        blocked = self._clock() - started

        def stored() -> Cost:
            store()
            return Cost(blocked, self._clock() - started)

        self._under_way = self._background.submit(stored)

    def wait(self) -> None:
        """Wait until no save is under way."""
        under_way, self._under_way = self._under_way, None
        if under_way is not None:
            self._cost = under_way.result()

    def close(self) -> None:
        """Let the save that is under way end; its error is nobody's any more, for the training is over or failed."""
        self._background.shutdown(wait=True)
