"""What every page and endpoint needs: settings, the connection, sessions and the model in use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pix2pix.pages.rendering import render
from web.backend import Backend
from web.configuration import WebConfiguration
from web.inference.translate import TranslationService
from web.sessions import COOKIE, Sessions

PAGES = {"/": "Overview", "/models": "Models", "/pictures": "Pictures", "/draw": "Draw", "/upload": "Upload"}
"""Path -> title of each page in the navigation."""


@dataclass(frozen=True)
class WebContext:
    """What every page and endpoint needs.

    Attributes:
        configuration: the settings.
        backend: the connection to Pachyderm.
        sessions: issues and checks cookies.
        service: the model in use.
        clock: returns seconds since 1970.
    """

    configuration: WebConfiguration
    backend: Backend
    sessions: Sessions
    service: TranslationService
    clock: Callable[[], float]

    def page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        """Render a page with the navigation, and give the browser a session if it has none.

        Args:
            request: the request.
            template: file in ``web/templates``.
            status: HTTP status.
            values: variables of the template.
        """
        cookie = request.cookies.get(COOKIE, "")
        fresh = not self.sessions.valid(cookie)
        if fresh:
            cookie = self.sessions.issue()
        text = render(
            "web",
            template,
            navigation=PAGES,
            path=request.url.path,
            csrf_token=self.sessions.csrf_token(cookie),
            read_only=self.configuration.read_only,
            **values,
        )
        response = HTMLResponse(text, status, {"cache-control": "no-store"})
        if fresh and self.sessions.token is None:
            self.set_cookie(request, response, cookie)
        return response

    def set_cookie(self, request: Request, response: Response, cookie: str) -> None:
        """Give the browser a session."""
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, cookie, httponly=True, samesite="strict", secure=secure)
