"""Turns SIGTERM and Ctrl-C into a request that long work polls, so that it can save its state first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class StopRequest:
    """Whether SIGTERM or Ctrl-C asked the work to stop; it is polled by being called.

    The signal handler stores a flag and takes no lock: it runs between two instructions of the main thread, which may
    hold the lock of a `threading.Event` at that moment and would wait for itself.
    """

    def __init__(self) -> None:
        self._requested = False

    def __call__(self) -> bool:
        """Return whether a stop was requested."""
        return self._requested

    def handle(self, number: int, frame: object) -> None:  # noqa: ARG002
        """Handle a signal; a second Ctrl-C raises KeyboardInterrupt."""
        if self._requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._requested = True


@contextmanager
def stop_on_signal() -> Iterator[StopRequest]:
    """Within the block, turn SIGTERM and the first Ctrl-C into a request to stop.

    Python delivers signals to the main thread alone; in another thread no signal is handled.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    handlers = {number: signal.signal(number, stop.handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
