"""Notifies people of events from a thread of its own; a service that is down never holds up the trigger."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc

from pachyderm.client.connection import Connection, Target, connect
from pachyderm.errors import PachydermError
from workflows.daemon.lease import Leadership
from workflows.notifications.detection import EventScan, oldest_open
from workflows.notifications.event import LEVELS, Event, no_leader
from workflows.notifications.ledger import Ledger
from workflows.notifications.sender import Sender, check_services
from workflows.settings.notify import NotifyService, NotifySettings, services_of

logger = logging.getLogger(__name__)

POLL_EVERY = 5.0
"""Seconds between two scans for events."""

LEADERLESS_AFTER = 60.0
"""Seconds without a leader after which people are notified."""

FIRST_DELAY, LONGEST_DELAY = 5.0, 600.0
"""Seconds until a service that is down is tried again: doubled each time, up to the second."""

AT_ONCE = 20
"""Messages to one service between two scans."""

FLUSH_WITHIN = 15.0
"""Seconds that `pix2pix trigger --once` waits at its end for notifications."""

Send = Callable[[Sequence[dict[str, str]]], list[bool]]


@dataclass
class _State:
    """How a service has answered so far."""

    failures: int = 0
    next_try: float = 0.0


class Notifier:
    """Finds events and sends each once to each service.

    Args:
        services: where notifications go.
        page: address of the web application, for links; empty for none.
        leadership: the trigger that leads sends.
        by: identity of this process.
        steady: seconds from an arbitrary start.
        wall: seconds since 1970.
        send: sends messages and returns which were accepted; `Sender.send` outside of tests.
    """

    def __init__(
        self,
        services: Sequence[NotifyService],
        page: str,
        leadership: Leadership,
        by: str,
        steady: Callable[[], float],
        wall: Callable[[], float],
        send: Send,
    ) -> None:
        self._services, self._page, self._leadership = services, page, leadership
        self._by, self._steady, self._send = by, steady, send
        self._scan, self._ledger = EventScan(wall), Ledger(by, steady, wall)
        self._states = {service.name: _State() for service in services}

    def poll(self, client: Connection) -> None:
        """Look for events once, and send what is due."""
        if not self._leadership.is_leader():
            self._report_leaderless(client)
            return
        events = self._scan.events(client)
        for service in self._services:
            self._deliver(client, service, events)
        # What was sent just now is seen as sent at the next scan.
        unsent = {e.found_at for e in events if not all(self._ledger.sent(e, s.name) for s in self._services)}
        self._scan.settle(unsent)

    def _report_leaderless(self, client: Connection) -> None:
        seconds = self._leadership.leaderless_for()
        oldest = oldest_open(client) if seconds >= LEADERLESS_AFTER else None
        if oldest is not None:
            for service in self._services:
                self._deliver(client, service, [no_leader(oldest, seconds, self._by)])

    def _deliver(self, client: Connection, service: NotifyService, events: Sequence[Event]) -> None:
        state = self._states[service.name]
        if self._steady() < state.next_try:
            return
        unsent = [event for event in events if not self._ledger.sent(event, service.name)]
        taken = [event for event in unsent[:AT_ONCE] if self._ledger.take(client, event, service.name)]
        if not taken:
            return
        results = self._send([self._message(service, event) for event in taken])
        for event, accepted in zip(taken, results, strict=True):
            if accepted:
                self._ledger.record(client, event, service.name)
        self._note(service, state, all(results))

    def _message(self, service: NotifyService, event: Event) -> dict[str, str]:
        text = event.text(self._page)
        return {"url": service.url, "title": f"pix2pix: {event.title}", "body": text, "level": LEVELS[event.kind]}

    def _note(self, service: NotifyService, state: _State, accepted: bool) -> None:
        if accepted:
            if state.failures:
                logger.warning("notifications by %s arrive again", service.name)
            state.failures = 0
            return
        delay = min(FIRST_DELAY * 2 ** min(state.failures, 20), LONGEST_DELAY)
        state.failures += 1
        state.next_try = self._steady() + delay
        if state.failures == 1:
            logger.warning(
                "notifications by %s do not arrive; retrying, at least every %g s; check its URL in notify.urls and "
                "that the network allows it",
                service.name,
                LONGEST_DELAY,
            )


@contextmanager
def notifying(
    target: Target,
    settings: NotifySettings,
    leadership: Leadership,
    by: str,
    steady: Callable[[], float],
    wall: Callable[[], float],
) -> Iterator[None]:
    """Send notifications while the context lasts; if it ends without an exception, what is left is sent first.

    Raises:
        RunInputError: a URL cannot be used.
    """
    services = services_of(settings)
    if not services:
        yield
        return
    check_services(services)
    stop, sender = threading.Event(), Sender()
    notifier = Notifier(services, settings.page, leadership, by, steady, wall, sender.send)
    thread = threading.Thread(target=_work, args=(notifier, target, stop), name="notifications", daemon=True)
    thread.start()
    try:
        yield
        stop.set()
        thread.join(FLUSH_WITHIN)
    finally:
        stop.set()
        sender.close()
        thread.join()


def _work(notifier: Notifier, target: Target, stop: threading.Event) -> None:
    """Poll until `stop` is set, and once more."""
    last = False
    while not last:
        last = stop.is_set()
        try:
            with connect(target) as client:
                notifier.poll(client)
                while not last:
                    stop.wait(POLL_EVERY)
                    last = stop.is_set()
                    notifier.poll(client)
        except InterruptedError:
            return
        except (PachydermError, grpc.RpcError) as error:
            # The trigger reports the outage.
            logger.debug("notifications wait for Pachyderm: %s", error)
            stop.wait(POLL_EVERY)
