"""Decides when a training saves its state, and saves it in the background."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

FIRST = 20.0
"""Seconds of training before the first save, which measures the cost of a save."""

AT_LEAST = 10.0
"""Seconds between two saves, however cheap: each is a commit if states are stored on a server."""

BLOCKED_SHARE = 0.01
"""Share of the time for which training may be blocked by saves."""

BACKGROUND_SHARE = 0.05
"""Share of the time during which a save may be running. On a CPU it takes one core from the training."""


@dataclass(frozen=True)
class Cost:
    """The cost of a save.

    Attributes:
        blocked: seconds for which the training was blocked.
        whole: seconds from the copy of the weights until the state was stored.
    """

    blocked: float
    whole: float


def seconds_between_saves(limit: float, cost: Cost | None) -> float:
    """Return the seconds of training after which a save is due.

    A save is due as soon as the work that it protects outweighs its cost. One that takes less than a twentieth of
    `limit` is complete at most `limit` seconds after the copy before it; a slower one keeps to its shares of the time.

    Args:
        limit: seconds of work that may be lost at most while saves are cheap.
        cost: of the last save; None before the first.
    """
    if cost is None:
        return min(FIRST, limit / 2)
    wanted = max(AT_LEAST, cost.blocked / BLOCKED_SHARE, cost.whole / BACKGROUND_SHARE)
    return min(wanted, limit - cost.whole) if cost.whole < BACKGROUND_SHARE * limit else wanted


def _one_thread() -> Executor:
    return ThreadPoolExecutor(1, "saving", initializer=_lower_priority)


def _lower_priority() -> None:
    """Lower the priority of the calling thread below the training's threads; Linux has a priority for each thread."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)


class Saver:
    """Saves states one at a time while the training continues.

    An error in the background is raised in the training thread by the next call of `is_due`, `save` or `wait`.
    """

    def __init__(
        self, limit: float, clock: Callable[[], float], background: Callable[[], Executor] = _one_thread
    ) -> None:
        """Start counting the unsaved work.

        Args:
            limit: see `seconds_between_saves`; 0 means that no save is ever due.
            clock: returns seconds.
            background: creates the executor for the part of a save that training does not wait for; it must run one
                call after the other.
        """
        self._limit, self._clock, self._background = limit, clock, background()
        self._saved_at = clock()
        self._cost: Cost | None = None
        self._running: Future[Cost] | None = None

    def is_due(self) -> bool:
        """Return whether the work since the last save is worth another one and no save is running."""
        if self._running is not None and self._running.done():
            self.wait()
        if not self._limit or self._running is not None:
            return False
        return self._clock() - self._saved_at >= seconds_between_saves(self._limit, self._cost)

    def save(self, copy: Callable[[], Callable[[], None]]) -> None:
        """Save the state, after a save that is still running.

        Args:
            copy: copies the state while the training waits; the function that it returns stores the copy in the
                background.
        """
        self.wait()
        started = self._saved_at = self._clock()
        store = copy()
        blocked = self._clock() - started

        def stored() -> Cost:
            store()
            return Cost(blocked, self._clock() - started)

        self._running = self._background.submit(stored)

    def wait(self) -> None:
        """Wait until no save is running."""
        running, self._running = self._running, None
        if running is not None:
            self._cost = running.result()

    def close(self) -> None:
        """Wait for a running save; its error is dropped, since the training is over or has failed."""
        self._background.shutdown(wait=True)
