"""What was sent, as metadata of the commits that events are about: who sends a notification, and that it was sent.

A sender first adds ``notify.<event>.<service>.<n>``, which one caller can do, and ``notified.<event>.<service>`` once
the service has accepted the message. A sender that ends between the two is replaced after `TAKE_OVER_AFTER`.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection
from pachyderm.errors import RequestError
from pachyderm.queue.claims import added
from workflows.notifications.event import Event

TAKE_OVER_AFTER = 60.0
"""Seconds, by the observer's clock, after which a notification that another process began and did not send is taken."""


class Ledger:
    """Decides who sends a notification.

    Args:
        by: identity of this process.
        steady: seconds from an arbitrary start.
        wall: seconds since 1970.
    """

    def __init__(self, by: str, steady: Callable[[], float], wall: Callable[[], float]) -> None:
        self._by, self._steady, self._wall = by, steady, wall
        self._seen: dict[str, float] = {}
        self._mine: set[str] = set()

    def sent(self, event: Event, service: str) -> bool:
        """Whether the service has accepted the notification."""
        return f"notified.{event.key}.{service}" in event.commit.metadata

    def take(self, client: Connection, event: Event, service: str) -> bool:
        """Take a notification, or keep it; False if it was sent, another process sends it, or the commit is gone."""
        try:
            latest = inspect(client, event.commit.repo, event.commit.id)
        except RequestError:
            return False
        if f"notified.{event.key}.{service}" in latest.metadata:
            return False
        prefix = f"notify.{event.key}.{service}."
        numbers = [key.removeprefix(prefix) for key in latest.metadata if key.startswith(prefix)]
        number = max((int(text) for text in numbers if text.isdecimal() and len(text) < 9), default=0)
        held = f"{latest}:{prefix}{number}"
        if number and held in self._mine:
            return True
        if number and self._steady() - self._seen.setdefault(held, self._steady()) < TAKE_OVER_AFTER:
            return False
        key = f"{prefix}{number + 1}"
        if not added(client, latest, {key: self._value()}):
            return False
        self._mine.add(f"{latest}:{key}")
        return True

    def record(self, client: Connection, event: Event, service: str) -> None:
        """Record that the service has accepted the notification."""
        added(client, event.commit, {f"notified.{event.key}.{service}": self._value()})

    def _value(self) -> str:
        return json.dumps({"by": self._by, "time": self._wall()})
