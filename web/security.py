"""The ASGI middleware that stands before every route: Host and Origin, the token, CSRF, and response headers."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.configuration import WebConfiguration
from web.sessions import COOKIE, CSRF_HEADER, Sessions

logger = logging.getLogger(__name__)

PROBES = frozenset({"/healthz", "/readyz"})
"""Reachable under any name and without the token: a kubelet asks for them by the pod's address."""

OPEN_PATHS = frozenset({"/login", "/favicon.ico"})
"""Reachable without the token, beside ``/static/``."""

PREDICTION_PATHS = ("/api/translate", "/v1/models/", "/v2/")
"""Requests that compute and change nothing: programs send them without a session, and they need no CSRF token."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

HEADERS = {
    # The base template has its styles inline; scripts come from this server's files alone.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Refuses requests that must not reach a route, and adds security headers to every response.

    Args:
        app: the routes.
        configuration: settings of the application.
        sessions: issues and checks cookies.
    """

    def __init__(self, app: ASGIApp, configuration: WebConfiguration, sessions: Sessions) -> None:
        self._app, self._configuration, self._sessions = app, configuration, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        app = self._app if refusal is None else refusal
        await app(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        """Return the response that refuses a request, or None to let it pass."""
        path = request.url.path
        if path in PROBES:
            return None
        # A page of another site can make a browser ask this address under its own name, but it does not know the token.
        by_token = self._has_token(request)
        host = _host_name(request.headers.get("host", ""))
        if not by_token and host not in self._configuration.allowed_hosts:
            return _refuse(421, f"the host {host!r} is not served here; start with --allow-host {host or 'NAME'}")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
            return _refuse(403, "requests from other sites are refused")
        if path in OPEN_PATHS or path.startswith("/static/"):
            return None
        if self._sessions.token is not None and not by_token and not self._has_session(request):
            return _unauthenticated(request)
        if request.method in SAFE_METHODS or path.startswith(PREDICTION_PATHS):
            return None
        if self._configuration.read_only:
            return _refuse(403, "this server is read-only; start it without --read-only to make changes")
        return None if by_token or self._has_csrf_token(request) else _refuse(403, "reload the page and try again")

    def _has_token(self, request: Request) -> bool:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._sessions.knows_token(token.strip())

    def _has_session(self, request: Request) -> bool:
        return self._sessions.valid(request.cookies.get(COOKIE, ""))

    def _has_csrf_token(self, request: Request) -> bool:
        cookie = request.cookies.get(COOKIE, "")
        given = request.headers.get(CSRF_HEADER, "")
        return self._sessions.valid(cookie) and given == self._sessions.csrf_token(cookie)


def _host_name(header: str) -> str:
    """Return the name in a Host header, without the port, in lower case; empty if it is malformed."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _refuse(status: int, text: str) -> Response:
    return JSONResponse({"error": text}, status)


def _unauthenticated(request: Request) -> Response:
    if "text/html" in request.headers.get("accept", "") and request.method in SAFE_METHODS:
        return RedirectResponse("/login", 303)
    return JSONResponse(
        {"error": "a token is required: Authorization: Bearer TOKEN"}, 401, {"www-authenticate": "Bearer"}
    )


def _with_headers(send: Send) -> Send:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return add
