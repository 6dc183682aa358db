"""The embedded store as a gRPC server, on a Unix socket or a TCP address."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import grpc

from pachyderm.errors import StoreError
from pachyderm.store.maintenance.cron_triggers import CronTriggers
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.routes import handlers

MESSAGE = 20 << 20
"""Maximum number of bytes in a message, in either direction; as in pachd."""
THREADS = 256
"""Maximum number of concurrent requests; a subscription or a wait occupies a thread."""
GRACE = 0.3
"""Seconds that active requests get to end when the server stops."""


class StoreServer:
    """A server of the store in a folder; several, in one process or in many, may serve the same folder.

    Args:
        folder: the store; created if missing.
        listen: ``unix:/path/to.sock`` or ``127.0.0.1:30650``; port 0 chooses a free one.
        clock: seconds since 1970.
        url_sources: let clients put files from http and https URLs, which this process then reads.

    Attributes:
        address: the address that it listens on; empty until `start`.

    Raises:
        StoreError: the folder is not a store, has a newer format, or cannot be written.
        StorageError: the disk is full or failed.
    """

    def __init__(
        self, folder: Path, listen: str, clock: Callable[[], float] = time.time, url_sources: bool = False
    ) -> None:
        self.folder = Path(folder)
        self._listen = listen
        self._engine = Engine.open(self.folder, clock, url_sources)
        self._cron = CronTriggers(self._engine)
        self.address = ""
        self._threads: ThreadPoolExecutor | None = None
        self._server: grpc.Server | None = None

    def start(self) -> str:
        """Start serving.

        Returns:
            the address, with the actual port if port 0 was given.

        Raises:
            StoreError: the server cannot listen on the address.
        """
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        options = [
            ("grpc.max_receive_message_length", MESSAGE),
            ("grpc.max_send_message_length", MESSAGE),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 5000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        server = grpc.server(self._threads, handlers=handlers(self._engine), options=options)
        try:
            port = server.add_insecure_port(self._listen)
        except RuntimeError as error:
            self.stop()
            raise StoreError(f"cannot listen on {self._listen}: {error}; give another address") from error
        server.start()
        self._server = server
        self._cron.start()
        local = self._listen.startswith("unix:")
        self.address = self._listen if local else f"{self._listen.rpartition(':')[0]}:{port}"
        return self.address

    def busy(self) -> int:
        """Return the number of requests that are waiting for a change of the store."""
        return self._engine.database.waiting

    def stop(self) -> None:
        """End all requests and close the store; everything that was acknowledged is durable."""
        self._engine.database.stopping.set()
        self._cron.stop()
        if self._server is not None:
            self._server.stop(GRACE).wait()
            self._server = None
        if self._threads is not None:
            self._threads.shutdown(wait=True)
            self._threads = None
        self._engine.close()

    def wait(self) -> None:
        """Block until `stop` is called."""
        if self._server is not None:
            self._server.wait_for_termination()

    def __enter__(self) -> StoreServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
