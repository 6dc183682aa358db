"""The callback through which long work reports its progress."""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, note)``: units done so far, units in all (0 if unknown), a short note such as
``"L1 0.081"``. Called often; the receiver limits the rate at which it shows anything."""


REPORT_INTERVAL = 5.0
"""Seconds between two lines of progress."""


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
