"""The callback through which long work reports its progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, note)``: units done so far, units in all (0 if unknown), a short note such as
``"L1 0.081"``. Called often; the receiver limits the rate at which it shows anything."""


REPORT_INTERVAL = 5.0
"""Seconds between two lines of progress."""


WINDOW = 30.0
"""Seconds over which the rate is averaged, so that a resumed or slowing run shows its present pace."""


class Pace:
    """The rate of long work, as a moving average over `WINDOW` seconds.

    Args:
        clock: seconds, from any origin.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._total = 0

    def add(self, done: int, total: int) -> None:
        """Note how far the work is; another total or a step back begins a new measurement."""
        now = self._clock()
        if total != self._total or (self._seen and done < self._seen[-1][1]):
            self._seen.clear()
        self._total = total
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW:
            self._seen.popleft()

    @property
    def rate(self) -> float:
        """Units per second; 0 if nothing was done yet."""
        if not self._seen:
            return 0.0
        (start, before), (end, done) = self._seen[0], self._seen[-1]
        return (done - before) / (end - start) if end > start else 0.0

    @property
    def text(self) -> str:
        """Progress, rate and time left, such as ``120/600 (4.0/s, 2 min left)``."""
        done = self._seen[-1][1] if self._seen else 0
        rate = self.rate
        left = f", {_duration((self._total - done) / rate)} left" if self._total > done and rate else ""
        return f"{done}/{self._total or '?'}" + (f" ({rate:.1f}/s{left})" if rate else "")


def _duration(seconds: float) -> str:
    """Format seconds in the largest unit of which there are at least two."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def paced(report: Callable[[str, str], None], clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return a callback that measures every call and reports as often as `throttled`.

    Args:
        report: called with the text of a `Pace` and the note.
        clock: seconds, from any origin.
    """
    pace = Pace(clock)
    shown = throttled(lambda done, total, note: report(pace.text, note), clock)  # noqa: ARG005

    def measured(done: int, total: int, note: str) -> None:
        pace.add(done, total)
        shown(done, total, note)

    return measured


def throttled(report: Progress, clock: Callable[[], float] = time.monotonic) -> Progress:
    """Return a callback that passes on the first call, at most one in `REPORT_INTERVAL` seconds, and the last one.

    Args:
        report: writes a line.
        clock: seconds, from any origin.
    """
    last = clock() - REPORT_INTERVAL

    def passed_on(done: int, total: int, note: str) -> None:
        nonlocal last
        now = clock()
        if now - last >= REPORT_INTERVAL or (total and done >= total):
            last = now
            report(done, total, note)

    return passed_on


def silent(done: int, total: int, note: str) -> None:
    """Report nothing."""
