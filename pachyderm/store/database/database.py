"""Connections, transactions and change notification over the store's SQLite file.

Threads and processes are coordinated by SQLite's locks alone, which the kernel releases when a process dies.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pachyderm.errors import PachydermError
from pachyderm.store.database import connections, schema
from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.status_errors import read_only

logger = logging.getLogger(__name__)

CLOSE_TIMEOUT = 2.0
"""Seconds that `Database.close` waits for requests in progress."""

POLL = 0.03
"""Seconds between two checks for another connection's changes."""


class Database:
    """The store's tables, with one connection per thread.

    Args:
        folder: the store, initialized by `schema.prepare`.
        clock: seconds since 1970.
        refusal: the reason why the store can only be read; None if it can be written.

    Attributes:
        stopping: set when the store shuts down; ends every iteration of `changes`.
        waiting: number of threads in `changes`.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], float] = time.time, refusal: PachydermError | None = None
    ) -> None:
        self.folder = folder
        self.refusal = refusal
        self.stopping = threading.Event()
        self.waiting = 0
        self._clock = clock
        self._local = threading.local()
        # The connection of a thread that has ended is closed with its thread's variables.
        self._opened: weakref.WeakSet[sqlite3.Connection] = weakref.WeakSet()
        self._used: Counter[sqlite3.Connection] = Counter()
        self._closed = False
        self._lock = threading.Condition()

    def now(self) -> int:
        """Return the current time in microseconds since 1970."""
        return int(self._clock() * 1_000_000)

    def connection(self) -> sqlite3.Connection:
        """Return this thread's connection, opened at first use."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None or self._outdated(connection):
            connection = self._open()
            self._local.connection = connection
            with self._lock:
                self._opened.add(connection)
        return connection

    @contextmanager
    def in_use(self) -> Iterator[sqlite3.Connection]:
        """Provide this thread's connection, and keep `close` from it: closing it during a read ends the process.

        Raises:
            sqlite3.ProgrammingError: the store was closed.
        """
        connection = self.connection()
        with self._lock:
            if self._closed:
                raise sqlite3.ProgrammingError(f"the store {self.folder} is closed")
            self._used[connection] += 1
        try:
            yield connection
        finally:
            with self._lock:
                self._used[connection] -= 1
                if not self._used[connection]:
                    del self._used[connection]
                    self._lock.notify_all()

    def check_writable(self) -> None:
        """Refuse a write at its beginning.

        Raises:
            StatusError: the store can only be read.
        """
        if self.refusal is not None:
            raise read_only(self.refusal)

    def _open(self) -> sqlite3.Connection:
        path = self.folder / schema.DATABASE
        if self.refusal is None:
            return connections.connect(path)
        self._local.signature = connections.signature(path)
        return connections.read_only(path)

    def _outdated(self, connection: sqlite3.Connection) -> bool:
        """Whether a connection that can only read would miss what another process has written since it was opened."""
        if self.refusal is None or connection.in_transaction:
            return False
        return bool(self._local.signature != connections.signature(self.folder / schema.DATABASE))

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction, or join the transaction that this thread has open; one consistent snapshot."""
        with self.in_use() as connection:
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connections.roll_back(connection)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open the write transaction, exclusive across all processes; commit it durably unless the block raises.

        Raises:
            StatusError: the store can only be read.
        """
        self.check_writable()
        with self.in_use() as connection, self._transaction(connection):
            yield connection

    @contextmanager
    def _transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        failpoint("commit.begin")
        connection.execute("BEGIN IMMEDIATE")
        self._local.undo = []
        committing = False
        try:
            yield
            failpoint("commit.before")
            committing = True
            connection.execute("COMMIT")
        except BaseException as error:
            connections.roll_back(connection)
            if not committing or _surely_undone(error):
                self._undo()
            raise
        failpoint("commit.after")

    @contextmanager
    def dry_run(self) -> Iterator[None]:
        """Undo what the block does within this thread's write transaction.

        If the block raises, nothing is undone here: the transaction must then be rolled back as a whole.
        """
        connection = self.connection()
        outer = self._local.undo
        self._local.undo = [*outer]
        connection.execute("SAVEPOINT dry_run")
        yield
        connection.execute("ROLLBACK TO dry_run")
        connection.execute("RELEASE dry_run")
        self._local.undo = self._local.undo[len(outer) :]
        self._undo()
        self._local.undo = outer

    def on_rollback(self, action: Callable[[], object]) -> None:
        """Call a function if this thread's write transaction is rolled back, e.g. to delete a file that it names.

        It is not called if the outcome is unknown: SQLite's recovery may complete a commit whose last fsync failed.
        """
        self._local.undo.append(action)

    def _undo(self) -> None:
        for action in self._local.undo:
            try:
                action()
            except OSError:
                logger.warning("cannot clean up after a transaction on %s", self.folder, exc_info=True)

    def changes(self, alive: Callable[[], bool]) -> Iterator[None]:
        """Yield immediately, then after each change by any thread or process, until `alive()` is false or `stopping`.

        SQLite notifies nobody; ``data_version`` changes when another connection has committed.
        """
        seen = None
        with self._lock:
            self.waiting += 1
        try:
            while alive() and not self.stopping.is_set():
                version = self._version()
                if version != seen:
                    seen = version
                    yield
                    continue
                self.stopping.wait(POLL)
        finally:
            with self._lock:
                self.waiting -= 1

    def _version(self) -> object:
        with self.in_use() as connection:
            version = connection.execute("PRAGMA data_version").fetchone()[0]
        return version if self.refusal is None else (version, self._local.signature)

    def close(self) -> None:
        """Close every connection but those still in use after `CLOSE_TIMEOUT`, which end with their threads."""
        self.stopping.set()
        with self._lock:
            self._lock.wait_for(lambda: not self._used, CLOSE_TIMEOUT)
            self._closed = True
            idle = [connection for connection in self._opened if connection not in self._used]
            self._opened.clear()
        for connection in idle:
            try:
                connection.close()
            except sqlite3.Error:
                logger.warning("cannot close a connection to %s", self.folder, exc_info=True)


def _surely_undone(error: BaseException) -> bool:
    """Whether a failed COMMIT cannot come back: on a full disk its last frame, which makes it valid, is incomplete."""
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL")
