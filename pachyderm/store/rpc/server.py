"""The embedded store as a gRPC server: in the same process over a Unix socket, or at an address for other programs.

It exists so that there is one data path: whoever works on data is a client of Pachyderm's protocol, cluster or not.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import grpc

from pachyderm.errors import StoreError
from pachyderm.store.maintenance.cron import CronTriggers
from pachyderm.store.objects.engine import Engine
from pachyderm.store.rpc.services import handlers

logger = logging.getLogger(__name__)

MESSAGE = 20 << 20
"""Bytes in the longest message, either way; as pachd."""
THREADS = 256
"""Requests served at once; a subscription or a wait holds one thread."""
GRACE = 0.3
"""Seconds that running requests get when the server stops."""


class StoreServer:
    """One server over one folder; several, in one process or in many, may serve the same folder at once.

    Args:
        folder: the store; made where it is missing.
        listen: ``unix:/path/to.sock``, ``127.0.0.1:30650``, or port 0 for any free one.
        clock: seconds since 1970.
        url_sources: let clients put files from http and https URLs, which this process then reads.

    Attributes:
        address: where it listens, once it was started.

    Raises:
        StoreError: the folder is no store, of a newer version, or cannot be written.
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
        """Begin to serve.

        Returns:
            the address: as given, with the port that was chosen for port 0.

        Raises:
            StoreError: the address cannot be listened on.
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
        """How many requests wait for a change of the store."""
        return self._engine.database.waiting

    def stop(self) -> None:
        """End all requests and let go of the folder; what was acknowledged is durable."""
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
        """Serve until `stop`."""
        if self._server is not None:
            self._server.wait_for_termination()

    def __enter__(self) -> StoreServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
