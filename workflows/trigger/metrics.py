"""Tells Prometheus and Kubernetes how the trigger is: `/metrics`, `/healthz`, `/readyz`.

It exists so that somebody is told when commits wait too long or runs fail, without reading a log. Superseded and
cancelled sets are counted apart from failures: they call for nobody.
"""

from __future__ import annotations

import re
import threading
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pachyderm.dag.repos import PIPELINES
from workflows.errors import RunInputError
from workflows.trigger.snapshot import Action, Note, Snapshot, Start
from workflows.trigger.work_items import work_items_of

LAST_PORT = 65535

READY_WITHIN = 60.0
"""Seconds since the last look that came to its end, within which the trigger counts as ready."""

ALIVE_WITHIN = 300.0
"""Seconds since the loop last turned, in trouble or not, within which the trigger counts as alive."""


ENDS = ("good", "failed", "superseded", "cancelled")
"""How a set may end."""


class Metrics:
    """The trigger's figures, and when it last did what.

    Args:
        steady: seconds from an arbitrary start.
        wall: seconds since 1970.
    """

    def __init__(self, steady: Callable[[], float], wall: Callable[[], float]) -> None:
        self._steady = steady
        self._wall = wall
        self._turned = steady()
        self._looked: float | None = None
        self.registry = CollectorRegistry()
        self._looks = Counter("pix2pix_trigger_looks", "Looks at Pachyderm and the runner.", registry=self.registry)
        self._troubles = Counter(
            "pix2pix_trigger_troubles",
            "Times that Pachyderm or the runner could not be reached.",
            registry=self.registry,
        )
        self._seconds = Histogram(
            "pix2pix_trigger_look_seconds", "Duration of a look, with what was done after it.", registry=self.registry
        )
        self._open = self._gauge("open_units", "Commit sets that are open.")
        self._live = self._gauge("live_runs", "Runs that are not over.")
        self._oldest = self._gauge("oldest_open_seconds", "Age of the oldest open commit set.")
        self._leads = Gauge("pix2pix_trigger_leads", "Whether this trigger acts.", registry=self.registry)
        self._decisions = Counter(
            "pix2pix_trigger_decisions",
            "What was decided: start, failed, vanished, interrupted, terminated, unfilled, and ends of sets.",
            ("pipeline", "decision"),
            registry=self.registry,
        )
        # Prometheus sees no increase in what first appears as 1.
        for pipeline in PIPELINES:
            for state in ENDS:
                self._decisions.labels(pipeline.name, f"end-{state}")

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"pix2pix_trigger_{name}", text, ("pipeline",), registry=self.registry)

    def looked(self, snapshot: Snapshot, done: Sequence[Action], seconds: float, is_leader: bool) -> None:
        """Take one look into account."""
        self._turned = self._looked = self._steady()
        self._looks.inc()
        self._seconds.observe(seconds)
        self._leads.set(is_leader)
        items = work_items_of(snapshot.commits, ())
        live = Tally(r.state.key.pipeline for r in snapshot.runs if r.state.key is not None and not r.state.over)
        for name in (pipeline.name for pipeline in PIPELINES):
            own = [item for item in items if item.id.pipeline == name]
            started = [commit.commit.started for item in own for commit in item.commits]
            self._open.labels(name).set(len(own))
            self._live.labels(name).set(live[name])
            self._oldest.labels(name).set(max(0.0, self._wall() - min(started)) if started else 0.0)
        for action in done:
            match action:
                case Start():
                    self._decisions.labels(action.item.pipeline, "start").inc()
                case Note():
                    self._decisions.labels(action.item.pipeline, action.decision).inc()

    def ended(self, pipeline: str, state: str) -> None:
        """Take note of how a set ended, whoever ended it."""
        self._decisions.labels(pipeline, f"end-{state}").inc()

    def troubled(self) -> None:
        """Take note that something could not be reached; the loop still turns."""
        self._turned = self._steady()
        self._troubles.inc()

    def alive(self) -> bool:
        """Whether the loop turns."""
        return self._steady() - self._turned < ALIVE_WITHIN

    def ready(self) -> bool:
        """Whether looks come to their end."""
        return self._looked is not None and self._steady() - self._looked < READY_WITHIN


class MetricsServer:
    """Serves a `Metrics` over HTTP from a thread.

    Args:
        metrics: what to serve.
        metrics_address: ``host:port``; port 0 takes a free one.

    Raises:
        RunInputError: the address cannot be listened on.
    """

    def __init__(self, metrics: Metrics, metrics_address: str) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, generate_latest(metrics.registry))
                elif self.path == "/healthz":
                    self._answer(*((200, b"ok\n") if metrics.alive() else (503, b"the loop does not turn\n")))
                elif self.path == "/readyz":
                    self._answer(*((200, b"ok\n") if metrics.ready() else (503, b"no look came to its end lately\n")))
                else:
                    self._answer(404, b"there are /metrics, /healthz and /readyz\n")

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Probes come every few seconds and say nothing."""

        host, _, port = metrics_address.rpartition(":")
        if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > LAST_PORT:
            raise RunInputError(
                f"metrics_address = {metrics_address!r} is no host:port, the port from 0 to {LAST_PORT}"
            )
        try:
            self._server = ThreadingHTTPServer((host, int(port)), Handler)
        except OSError as error:
            raise RunInputError(f"{metrics_address} cannot be listened on: {error.strerror}") from error
        self._server.daemon_threads = True
        self.address = f"{host}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def __enter__(self) -> MetricsServer:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
