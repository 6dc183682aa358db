"""Prometheus metrics and health endpoints: `/metrics`, `/healthz` and `/readyz`."""

from __future__ import annotations

import re
import threading
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from types import TracebackType
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

from pachyderm.dag.repos import PIPELINES
from workflows.errors import RunInputError
from workflows.trigger.actions import Action, Note, Start
from workflows.trigger.snapshot import Snapshot

LAST_PORT = 65535

READY_WITHIN = 60.0
"""Seconds since the last complete poll within which the trigger counts as ready."""

ALIVE_WITHIN = 300.0
"""Seconds since the loop last turned, successfully or not, within which the trigger counts as alive."""

ENDS = ("good", "failed", "superseded", "cancelled")
"""Final states of a commit set. Superseded and cancelled need no attention, so they are counted apart from failed."""


class Metrics:
    """The trigger's metrics, and the times of its last polls.

    Args:
        steady: seconds from an arbitrary start.
        wall: seconds since 1970.
    """

    def __init__(self, steady: Callable[[], float], wall: Callable[[], float]) -> None:
        self._steady = steady
        self._wall = wall
        self._last_turn = steady()
        self._last_poll: float | None = None
        self.registry = CollectorRegistry()
        self._polls = Counter("pix2pix_trigger_polls", "Polls of Pachyderm and the runner.", registry=self.registry)
        self._unreachable = Counter(
            "pix2pix_trigger_unreachable",
            "Polls that failed because Pachyderm or the runner could not be reached.",
            registry=self.registry,
        )
        self._seconds = Histogram(
            "pix2pix_trigger_poll_seconds", "Duration of a poll, including its actions.", registry=self.registry
        )
        self._open = self._gauge("open_work_items", "Work items that are open.")
        self._live = self._gauge("live_runs", "Runs that are not over.")
        self._oldest = self._gauge("oldest_open_seconds", "Age of the oldest open commit set.")
        self._leader = Gauge("pix2pix_trigger_leader", "Whether this trigger acts.", registry=self.registry)
        self._decisions = Counter(
            "pix2pix_trigger_decisions",
            "Decisions: start, how attempts ended, and how commit sets ended.",
            ("pipeline", "decision"),
            registry=self.registry,
        )
        # Prometheus sees no increase in a series whose first sample is 1.
        for pipeline in PIPELINES:
            for state in ENDS:
                self._decisions.labels(pipeline.name, f"end-{state}")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"pix2pix_trigger_{name}", text, ("pipeline",), registry=self.registry)

    def record_poll(self, snapshot: Snapshot, effects: Sequence[Action], seconds: float, is_leader: bool) -> None:
        """Record a complete poll, the actions that had an effect, and its duration in seconds."""
        self._last_turn = self._last_poll = self._steady()
        self._polls.inc()
        self._seconds.observe(seconds)
        self._leader.set(is_leader)
        live = Tally(r.state.key.pipeline for r in snapshot.runs if r.state.key is not None and not r.state.over)
        for name in (pipeline.name for pipeline in PIPELINES):
            items = [item for item in snapshot.items if item.id.pipeline == name]
            started = [entry.commit.started for item in items for entry in item.commits]
            self._open.labels(name).set(len(items))
            self._live.labels(name).set(live[name])
            self._oldest.labels(name).set(max(0.0, self._wall() - min(started)) if started else 0.0)
        for action in effects:
            match action:
                case Start():
                    self._decisions.labels(action.item.pipeline, "start").inc()
                case Note():
                    self._decisions.labels(action.item.pipeline, action.decision).inc()

    def record_end(self, pipeline: str, state: str) -> None:
        """Record how a commit set ended, whoever ended it."""
        self._decisions.labels(pipeline, f"end-{state}").inc()

    def record_unreachable(self) -> None:
        """Record a failed poll; the loop still turns."""
        self._last_turn = self._steady()
        self._unreachable.inc()

    def alive(self) -> bool:
        """Return whether the loop turns."""
        return self._steady() - self._last_turn < ALIVE_WITHIN

    def ready(self) -> bool:
        """Return whether polls complete."""
        return self._last_poll is not None and self._steady() - self._last_poll < READY_WITHIN


def endpoints(metrics: Metrics) -> WSGIApplication:
    """Return the WSGI application with `/metrics`, `/healthz` and `/readyz`."""
    exporter = make_wsgi_app(metrics.registry)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        match environ["PATH_INFO"]:
            case "/metrics":
                return exporter(environ, start_response)
            case "/healthz":
                healthy, problem = metrics.alive(), "the loop does not turn"
            case "/readyz":
                healthy, problem = metrics.ready(), "no poll completed recently"
            case _:
                return _text(start_response, "404 Not Found", "not found; try /metrics, /healthz or /readyz")
        if healthy:
            return _text(start_response, "200 OK", "ok")
        return _text(start_response, "503 Service Unavailable", problem)

    return application


def _text(start_response: StartResponse, status: str, line: str) -> list[bytes]:
    content = f"{line}\n".encode()
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content)))])
    return [content]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Log nothing: probes arrive every few seconds."""


class MetricsServer:
    """Serves the endpoints of a `Metrics` over HTTP from a thread.

    Args:
        metrics: the metrics.
        metrics_address: ``host:port``; port 0 takes a free one.

    Raises:
        RunInputError: the address is invalid or cannot be bound.
    """

    def __init__(self, metrics: Metrics, metrics_address: str) -> None:
        host, _, port = metrics_address.rpartition(":")
        if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > LAST_PORT:
            raise RunInputError(
                f"metrics_address = {metrics_address!r} is not allowed; "
                f"it must be host:port with a port from 0 to {LAST_PORT}"
            )
        try:
            self._server = make_server(host, int(port), endpoints(metrics), _Server, _QuietHandler)
        except OSError as error:
            raise RunInputError(f"metrics_address {metrics_address} cannot be bound: {error.strerror}") from error
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def __enter__(self) -> MetricsServer:
        """Start to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
