"""A Pachyderm at an address that can go away and come back there, as when its pod is replaced."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pachyderm.store.rpc.server import StoreServer


class Served:
    """A served store.

    Attributes:
        address: where it is served; the same after each return.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server = StoreServer(folder, "127.0.0.1:0")
        self.address = self._server.start()
        self._returns: list[threading.Timer] = []

    def leave(self, seconds: float | None = None) -> None:
        """Stop serving and break off running requests; come back after so many seconds, if given."""
        self._server.stop()
        if seconds is not None:
            self._returns.append(threading.Timer(seconds, self.come_back))
            self._returns[-1].start()

    def until_waited_for(self) -> None:
        """Return as soon as a client waits for a change of the store."""
        while not self._server.busy():
            threading.Event().wait(0.01)

    def come_back(self) -> None:
        """Serve the same folder at the same address again."""
        self._server = StoreServer(self._folder, self.address)
        self._server.start()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._returns:
            timer.join()
        self._server.stop()


class Relay:
    """An address that forwards connections to another server, and that can go away and come back as `Served` can.

    Attributes:
        address: where it listens; the same after each return.
    """

    def __init__(self, server: str) -> None:
        host, _, port = server.removeprefix("grpc://").rpartition(":")
        self._server = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        self._returns: list[threading.Timer] = []
        self._forward()

    def leave(self, seconds: float | None = None) -> None:
        """Stop listening and break off all connections; come back after so many seconds, if given."""
        for end in (self._listener, *self._connections):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._connections.clear()
        if seconds is not None:
            self._returns.append(threading.Timer(seconds, self.come_back))
            self._returns[-1].start()

    def come_back(self) -> None:
        """Listen at the same address again."""
        host, _, port = self.address.partition(":")
        self._listener = socket.create_server((host, int(port)))
        self._forward()

    def _forward(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection(self._server)
                self._connections += (near, far)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_copy, args=ends, daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._returns:
            timer.join()
        self.leave()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def absentable(folder: Path) -> Iterator[Served | Relay]:
    """Provide a store in a folder that can go away, or a relay that can, to the server at `PACHD_ADDRESS`."""
    address = os.environ.get("PACHD_ADDRESS")
    with Relay(address) if address else Served(folder) as server:
        yield server
