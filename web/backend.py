"""The connection to Pachyderm that all requests share, opened again after it was lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pachyderm.client.connection import Connection, Target, connect, translated
from pachyderm.errors import UnreachableError

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 10.0
"""Seconds that `Backend.close` waits for requests in progress."""


class Backend:
    """Hands out a client per request: a transaction belongs to a client, so no two threads share one.

    Args:
        target: the Pachyderm.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._lock = threading.Condition()
        self._active = 0
        self._stack = ExitStack()
        self._connection: Connection | None = None

    @contextmanager
    def client(self) -> Iterator[Connection]:
        """Return a client for one request; errors are translated as by `pachyderm.client.connection.connect`.

        Raises:
            UnreachableError: the server is away; the next call dials again.
        """
        connection = self._begin()
        try:
            client = connection.another()
            try:
                with translated(str(self.target)):
                    yield client
            finally:
                client.close()
        except UnreachableError:
            self._drop(connection)
            raise
        finally:
            self._end()

    def close(self) -> None:
        """Close the shared connection once no request uses it.

        SQLite crashes the process if a connection is closed while another thread reads from it, so the connection stays
        open if a request does not end in time.
        """
        with self._lock:
            if self._lock.wait_for(lambda: not self._active, CLOSE_TIMEOUT):
                self._stack.close()
                self._stack, self._connection = ExitStack(), None
            else:
                logger.warning("%d requests to %s have not ended", self._active, self.target)

    def _begin(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = self._stack.enter_context(connect(self.target))
            self._active += 1
            return self._connection

    def _end(self) -> None:
        with self._lock:
            self._active -= 1
            self._lock.notify_all()

    def _drop(self, connection: Connection) -> None:
        with self._lock:
            if self._connection is connection:
                logger.warning("the connection to %s was lost; it is opened again at the next request", self.target)
                self._stack.close()
                self._stack, self._connection = ExitStack(), None
