"""A store at an address that can go away and come back there, like a Pachyderm whose pod is replaced."""

from __future__ import annotations

import threading
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
