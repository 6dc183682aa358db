"""Commit subscriptions that wake the trigger before its next poll is due.

Every event may be lost: the periodic poll finds the same work later.
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

RENEWED_AFTER = 5.0
"""Seconds after which a broken subscription is renewed."""

ENDS_WITHIN = 1.0
"""Seconds that `close` waits for all threads together; they are daemon threads."""


class CommitSubscriptions:
    """Subscriptions to the output branches, each with its own thread and connection.

    Args:
        client: the connection to copy.
        branches: the output branches.
    """

    def __init__(self, client: Connection, branches: Sequence[BranchName] = tuple(PROVENANCE)) -> None:
        self._event = threading.Event()
        self._stop = threading.Event()
        self._clients = [client.another() for _ in branches]
        self._threads = [
            threading.Thread(target=self._listen, args=pair, name=f"subscription-{pair[1].repo}", daemon=True)
            for pair in zip(self._clients, branches, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def pause(self, seconds: float) -> bool:
        """Wait for an event, at most that many seconds; return whether one arrived."""
        arrived = self._event.wait(seconds)
        self._event.clear()
        return arrived

    def wake(self) -> None:
        """End a `pause`, from any thread."""
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
            self._stop.wait(RENEWED_AFTER)
