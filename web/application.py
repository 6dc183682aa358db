"""The Starlette application: routes, errors, and what begins and ends with the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.backend import Backend
from web.configuration import WebConfiguration
from web.context import WebContext
from web.events import Events
from web.inference.batcher import Batcher
from web.inference.model_in_use import LoadedModel, ModelInUse, load_translator
from web.inference.serving import Serving
from web.inference.translate import TranslationService
from web.pages.commits import Commits
from web.pages.drawing import Drawing
from web.pages.models import Models
from web.pages.overview import Overview
from web.pages.pictures import Pictures
from web.pages.sign_in import SignIn
from web.pages.uploading import Uploading
from web.requests import EXPECTED, error_response
from web.security import Guard
from web.sessions import Sessions

STATIC = Path(__file__).parent / "static"


def create_application(
    configuration: WebConfiguration,
    *,
    load: Callable[[Path, str], LoadedModel] = load_translator,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """Return the application.

    Args:
        configuration: its settings.
        load: loads a model; tests pass one without TensorFlow.
        clock: returns seconds since 1970.
    """
    backend, batcher = Backend(configuration.target), Batcher()
    service = TranslationService(ModelInUse(backend, load), batcher)
    sessions = Sessions(configuration.token)
    context = WebContext(configuration, backend, sessions, service, clock)
    events, uploading = Events(context), Uploading(context)
    pages = (
        *(Overview(context), Commits(context), Models(context), Pictures(context), Drawing(context)),
        *(SignIn(context), uploading, events, Serving(service)),
    )

    @contextlib.asynccontextmanager
    async def lifespan(application: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(events.watch())
        try:
            yield
        finally:
            events.stop()
            await watching
            uploading.close()
            batcher.close()
            backend.close()

    metrics = Metrics()
    routes: list[BaseRoute] = [route for page in pages for route in page.routes()]
    routes += [
        Route("/healthz", healthy),
        Route("/readyz", Readiness(service)),
        Route("/metrics", metrics.page),
        Route("/openapi.json", openapi),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]

    async def failed(request: Request, error: Exception) -> Response:
        response = error_response(request, error)
        if "text/html" in request.headers.get("accept", ""):
            text = getattr(error, "detail", None) or str(error)
            if response.status_code == 404 and text == HTTPStatus.NOT_FOUND.phrase:
                text = f"There is no page at {request.url.path}."
            return context.page(request, "error.html", response.status_code, text=text)
        return response

    return Starlette(
        routes=routes,
        middleware=[Middleware(metrics.middleware), Middleware(Guard, configuration=configuration, sessions=sessions)],
        exception_handlers=dict.fromkeys(EXPECTED, failed),
        lifespan=lifespan,
    )


async def healthy(request: Request) -> Response:
    """Answer that the process runs."""
    return PlainTextResponse("ok\n")


async def openapi(request: Request) -> Response:
    """Return the description of the API."""
    return FileResponse(STATIC / "openapi.json", media_type="application/json")


class Readiness:
    """Answers 200 once a model is loaded, 503 before.

    Args:
        service: holds the model in use.
    """

    def __init__(self, service: TranslationService) -> None:
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        models = self._service.models
        ready = models.model is not None
        response = JSONResponse({"ready": ready, "problem": models.problem}, 200 if ready else 503)
        await response(scope, receive, send)


class Metrics:
    """Counts requests and measures their duration, for Prometheus."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "pix2pix_web_requests_total", "Requests by route and status", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "pix2pix_web_request_seconds", "Duration of requests by route", ("route",), registry=self._registry
        )

    async def page(self, request: Request) -> Response:
        """Return the metrics in Prometheus' text format."""
        return Response(generate_latest(self._registry), media_type="text/plain; version=0.0.4; charset=utf-8")

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Wrap an application so that its requests are measured."""

        async def measured(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            start, status = time.perf_counter(), 500

            async def watched(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, watched)
            finally:
                # The route's pattern, not the address: one time series per file would never end.
                route = getattr(scope.get("route"), "path", "other")
                self._requests.labels(route, str(status)).inc()
                if route != "/events":
                    self._seconds.labels(route).observe(time.perf_counter() - start)

        return measured
