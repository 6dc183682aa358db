"""Connections, transactions and the wait for a change, over the store's SQLite file.

It exists so that everything which several threads and processes share goes through SQLite's locks and nothing else:
a process that dies takes no lock with it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pachyderm.store.database import schema
from pachyderm.store.database.failpoints import failpoint

logger = logging.getLogger(__name__)

POLL = 0.03
"""Seconds between two looks for another writer's commit."""


class Database:
    """The store's tables, one connection for each thread.

    Args:
        folder: a folder that `schema.prepare` has seen.
        clock: seconds since 1970.

    Attributes:
        stopping: set when everybody must let go.
        waiting: how many threads are in `changes`.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self.stopping = threading.Event()
        self.waiting = 0
        self._clock = clock
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def now(self) -> int:
        """Microseconds since 1970."""
        return int(self._clock() * 1_000_000)

    def connection(self) -> sqlite3.Connection:
        """This thread's connection."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = schema.connect(self.folder / schema.DATABASE)
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the tables; within a transaction of this thread, that transaction's view."""
        connection = self.connection()
        if connection.in_transaction:
            yield connection
            return
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            schema.roll_back(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The only writer of all processes; what was written is durable when the block ends without an exception."""
        connection = self.connection()
        failpoint("commit.begin")
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            failpoint("commit.before")
            connection.execute("COMMIT")
        except BaseException:
            schema.roll_back(connection)
            raise
        failpoint("commit.after")

    def changes(self, alive: Callable[[], bool]) -> Iterator[None]:
        """Yield at once and after every change by any thread or process, while `alive` says so and the server runs."""
        connection = self.connection()
        seen = None
        with self._lock:
            self.waiting += 1
        try:
            while alive() and not self.stopping.is_set():
                version = connection.execute("PRAGMA data_version").fetchone()[0]
                if version != seen:
                    seen = version
                    yield
                    continue
                self.stopping.wait(POLL)
        finally:
            with self._lock:
                self.waiting -= 1

    def close(self) -> None:
        """Close every connection; the threads that used them must be over."""
        self.stopping.set()
        with self._lock:
            opened, self._opened = self._opened, []
        for connection in opened:
            try:
                connection.close()
            except sqlite3.Error:
                logger.warning("a connection to %s did not close", self.folder, exc_info=True)
