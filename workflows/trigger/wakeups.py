"""Lets the trigger sleep until something happens in Pachyderm.

A subscription is a hint and nothing more: every one may be lost, and the periodic poll finds what it would have told.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import PROVENANCE

logger = logging.getLogger(__name__)

AGAIN_AFTER = 5.0
"""Seconds after which a subscription that broke is made again."""

ENDS_WITHIN = 1.0
"""Seconds that `close` waits for the threads, all of them together; they are daemons."""


class CommitSubscriptions:
    """Subscriptions to the output repos, each in a thread and with a connection of its own.

    Args:
        client: what to copy the connections from.
        branches: the output branches.
    """

    def __init__(self, client: Connection, branches: Sequence[BranchName] = tuple(PROVENANCE)) -> None:
        self._event = threading.Event()
        self._stop = threading.Event()
        self._clients = [client.another() for _ in branches]
        self._threads = [
            threading.Thread(target=self._listen, args=pair, name=f"hints-{pair[1].repo}", daemon=True)
            for pair in zip(self._clients, branches, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def pause(self, seconds: float) -> bool:
        """Wait for a hint, at most that long; True if there was one."""
        told = self._event.wait(seconds)
        self._event.clear()
        return told

    def wake(self) -> None:
        """Give a hint, from any thread."""
        self._event.set()

    def close(self) -> None:
        """End the subscriptions."""
        self._stop.set()
        for client in self._clients:
            client.close()
        deadline = time.monotonic() + ENDS_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _listen(self, client: Connection, branch: BranchName) -> None:
        while not self._stop.is_set():
            try:
                stream = client.pfs.subscribe_commit(
                    repo=client.repo(branch.repo),
                    branch=branch.branch,
                    state=pfs.CommitState.STARTED,
                    origin_kind=pfs.OriginKind.AUTO,
                )
                for _ in stream:
                    self._event.set()
            except (grpc.RpcError, ConnectionError, ValueError) as error:
                # A closed channel raises ValueError.
                logger.debug("the subscription to %s ended: %s", branch, error)
            self._stop.wait(AGAIN_AFTER)
