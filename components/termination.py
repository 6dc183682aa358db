"""SIGTERM as a request that the main thread answers where it is safe to stop."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)

EXIT_CODE = 128 + signal.SIGTERM
"""What a shell and a kubelet report for a process that SIGTERM ended; the trigger takes it for an interruption."""

PATIENCE = 20.0
"""Seconds in which the main thread must call `Termination.check`; a kubelet kills the process after 30."""


class Termination:
    """Whether the process was asked to terminate.

    No exception is raised out of the signal handler: between the acquisition of a lock and its ``with`` block it would
    leave the lock held for ever, and gRPC's channels then hang at their next use. The main thread may also be in
    native code, or in a request that waits for another commit, where handlers do not run. Therefore the signal also
    goes through a socket, which CPython's C handler writes to, to a thread that ends a process that does not notice.

    Args:
        patience: seconds until a process that has not called `check` is ended.
        end_process: called with the exit code.
    """

    def __init__(self, patience: float = PATIENCE, end_process: Callable[[int], None] = os._exit) -> None:
        self._patience = patience
        self._end_process = end_process
        self._requested = False
        self._noticed = threading.Event()

    def check(self) -> None:
        """Raise SystemExit if the process was asked to terminate; in other threads than the main one, do nothing.

        The owner of a claim saves its work and gives the claim back while the exception passes. In a thread that gRPC
        consumes a request from, it would be lost, and the request would hang.
        """
        if self._requested and threading.current_thread() is threading.main_thread():
            self._noticed.set()
            raise SystemExit(EXIT_CODE)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch SIGTERM inside the block; only the main thread may enter it."""
        reader, writer = socket.socketpair()
        writer.setblocking(False)
        previous_descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        previous_handler = signal.signal(signal.SIGTERM, self._request)
        thread = threading.Thread(target=self._watch, args=(reader,), name="termination", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._noticed.set()
            signal.signal(signal.SIGTERM, previous_handler)
            signal.set_wakeup_fd(previous_descriptor)
            writer.close()
            thread.join(1.0)

    def _request(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Takes no lock: the main thread may hold it.
        self._requested = True

    def _watch(self, reader: socket.socket) -> None:
        with reader:
            while received := reader.recv(1):
                if received[0] != signal.SIGTERM:
                    continue
                self._requested = True
                logger.info("SIGTERM: stopping")
                if not self._noticed.wait(self._patience):
                    logger.warning(
                        "still busy %g s after SIGTERM; exiting, the claim expires by itself", self._patience
                    )
                    self._end_process(EXIT_CODE)
                return
