"""Graceful shutdown on SIGINT and SIGTERM, bounded in time even if something hangs."""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

logger = logging.getLogger(__name__)

EXITS_WITHIN = 9.0
"""Seconds after the first signal when the process is terminated, if it has not ended by itself."""

FORCED_AFTER = 3
"""Number of signals after which the process ends at once, without further clean-up."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_process(seconds: float) -> None:
    """End this process with exit code 1 after that many seconds, and print where each thread hangs.

    A C thread does it without the interpreter's lock, so it works even while the interpreter shuts down.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)


class Interruption:
    """Records that the process was asked to stop; the loop calls `check` wherever it may stop.

    Signal handlers raise nothing in the main thread: an exception between the acquisition of a lock and its ``with``
    block would leave the lock held forever (gRPC's channels and `threading.Event` hang at their next use), and one
    raised in a destructor is lost. Nor does this rely on the main thread: Python runs handlers between two byte code
    instructions, which a blocking DNS lookup or a hanging library never reaches. Instead, the C handler writes the
    signal's number to a socket, and a thread reads it.

    Args:
        end_by: called at the first signal, to guarantee that the process ends in time. By default nothing does.
        end_now: called with the exit code at signal number `FORCED_AFTER`.
    """

    def __init__(
        self,
        end_by: Callable[[], None] | None = None,
        end_now: Callable[[int], None] = os._exit,
    ) -> None:
        self._end_by = end_by
        self._end_now = end_now
        self._lock = threading.Lock()
        self._requested = False
        self._signal: signal.Signals | None = None
        self._actions: list[Callable[[], None]] = []

    @classmethod
    def of_process(cls) -> Interruption:
        """Return an interruption that ends the process `EXITS_WITHIN` seconds after the first signal."""
        return cls(partial(end_process, EXITS_WITHIN))

    @property
    def stop_requested(self) -> bool:
        """Whether the process was asked to stop by SIGTERM, the regular way for Kubernetes and systemd."""
        return self._signal is signal.SIGTERM

    def check(self) -> None:
        """Raise KeyboardInterrupt if the process was asked to stop."""
        if self._requested:
            raise KeyboardInterrupt

    @contextmanager
    def on_signal(self, action: Callable[[], None]) -> Iterator[None]:
        """Within the block, run an action in another thread as soon as the process is asked to stop.

        Args:
            action: work that must not wait for the main thread; bounded in time. Called at once if the process was
                asked to stop before.
        """
        with self._lock:
            self._actions.append(action)
            late = self._requested
        if late:
            action()
        try:
            yield
        finally:
            with self._lock:
                self._actions.remove(action)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch SIGINT and SIGTERM; an error in the block after a signal is raised as KeyboardInterrupt.

        Call it in the main thread: no other may set signal handlers.
        """
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, self._handle) for number in SIGNALS}
        thread = threading.Thread(target=self._watch, args=(reader,), name="interruption", daemon=True)
        thread.start()
        try:
            yield
        except Exception as error:
            if self._requested:
                raise KeyboardInterrupt from error
            raise
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            writer.close()
            thread.join(1.0)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # The C handler writes to the socket only if a Python handler is installed. Take no lock here: the main thread
        # may hold it.
        self._signal = self._signal or signal.Signals(number)
        self._requested = True

    def _watch(self, reader: socket.socket) -> None:
        count = 0
        with reader:
            while received := reader.recv(1):
                number = received[0]
                if number not in SIGNALS:
                    continue
                count += 1
                if count == 1:
                    self._signal = self._signal or signal.Signals(number)
                    self._stop(signal.Signals(number).name)
                elif count >= FORCED_AFTER:
                    self._end_now(128 + number)

    def _stop(self, name: str) -> None:
        with self._lock:
            self._requested = True
            actions = list(self._actions)
        if self._end_by is not None:
            self._end_by()
        logger.info("%s: stopping", name)
        for action in actions:
            try:
                action()
            except Exception:
                logger.exception("a shutdown action failed at %s", name)
