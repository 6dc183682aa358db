"""Notices Ctrl-C and SIGTERM in a thread of its own, and ends the process in time whatever hangs."""

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
"""Seconds after the first signal when a process that has not ended by itself is ended."""

IMPATIENT = 3
"""Signals after which the process ends at once, whatever it is cleaning up."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_process(seconds: float) -> None:
    """End this process with exit code 1 when so many seconds have passed, after printing where each thread hangs.

    A thread of the C library does it, which needs no lock of the interpreter: it works during the exit of the
    interpreter, too.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)


class Interruption:
    """Whether the process was told to stop; the loop calls `check` where it may stop.

    The main thread is never interrupted in the middle of something: an exception out of a signal handler between the
    acquisition of a lock and its ``with`` block leaves the lock held for ever (gRPC's channels and `threading.Event`
    then hang at their next use), and one that strikes in a destructor is lost. Nor is the main thread relied on: it
    runs signal handlers between two instructions of Python, which a look-up of a name or a hanging library never
    reaches. So the signal's number goes through a socket, which the C handler writes to, to a thread that waits for it.

    Args:
        end_by: called at the first signal; sees to it that the process ends in time. By default nothing does.
        end_now: called with the exit code at the signal number `IMPATIENT`.
    """

    def __init__(
        self,
        end_by: Callable[[], None] | None = None,
        end_now: Callable[[int], None] = os._exit,
    ) -> None:
        self._end_by = end_by
        self._end_now = end_now
        self._lock = threading.Lock()
        self._asked = False
        self._signal: signal.Signals | None = None
        self._first: list[Callable[[], None]] = []

    @classmethod
    def of_process(cls) -> Interruption:
        """One that ends the process `EXITS_WITHIN` seconds after the first signal."""
        return cls(partial(end_process, EXITS_WITHIN))

    @property
    def stop_requested(self) -> bool:
        """Whether the process was told to stop by SIGTERM, as Kubernetes and systemd stop a service.

        A service that stops cleanly then has ended as it should.
        """
        return self._signal is signal.SIGTERM

    def check(self) -> None:
        """Raise KeyboardInterrupt if the process was told to stop."""
        if self._asked:
            raise KeyboardInterrupt

    @contextmanager
    def first(self, action: Callable[[], None]) -> Iterator[None]:
        """Within the block, have an action carried out the moment the process is told to stop, in another thread.

        Args:
            action: whatever must not wait for the main thread; bounded in time. Called at once where the process
                was told to stop before.
        """
        with self._lock:
            self._first.append(action)
            late = self._asked
        if late:
            action()
        try:
            yield
        finally:
            with self._lock:
                self._first.remove(action)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch SIGINT and SIGTERM; whatever fails in the block after a signal is raised as KeyboardInterrupt.

        For the main thread, which alone may set signal handlers.
        """
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        handlers = {number: signal.signal(number, self._noticed) for number in SIGNALS}
        thread = threading.Thread(target=self._watch, args=(reader,), name="interruption", daemon=True)
        thread.start()
        try:
            yield
        except Exception as error:
            if self._asked:
                raise KeyboardInterrupt from error
            raise
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            writer.close()
            thread.join(1.0)

    def _noticed(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Without a handler in Python the C handler would write nothing. No lock may be taken here: the main thread
        # may hold it.
        self._signal = self._signal or signal.Signals(number)
        self._asked = True

    def _watch(self, reader: socket.socket) -> None:
        times = 0
        with reader:
            while received := reader.recv(1):
                number = received[0]
                if number not in SIGNALS:
                    continue
                times += 1
                if times == 1:
                    self._signal = self._signal or signal.Signals(number)
                    self._stop(signal.Signals(number).name)
                elif times >= IMPATIENT:
                    self._end_now(128 + number)

    def _stop(self, name: str) -> None:
        with self._lock:
            self._asked = True
            actions = list(self._first)
        if self._end_by is not None:
            self._end_by()
        logger.info("%s: stopping", name)
        for action in actions:
            try:
                action()
            except Exception:
                logger.exception("an action at %s failed", name)
