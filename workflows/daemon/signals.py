"""Sees Ctrl-C and SIGTERM, and makes sure that they are not lost.

It exists because Python throws an exception of a signal handler away where it happens to strike in a destructor or a
callback of a C library: a trigger that is told to stop would then go on.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

IMPATIENT = 3
"""Signals after which even the cleaning up is broken off."""


class Interruption:
    """Whether the process was told to stop; `check` is asked in the loop."""

    def __init__(self) -> None:
        self._signals = 0

    def check(self) -> None:
        """Raise KeyboardInterrupt if the process was told to stop."""
        if self._signals:
            raise KeyboardInterrupt

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch SIGINT and SIGTERM; the first raises KeyboardInterrupt, a second leaves the cleaning up alone."""
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _asked(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._signals += 1
        if self._signals == 1 or self._signals >= IMPATIENT:
            raise KeyboardInterrupt
