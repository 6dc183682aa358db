"""Signing in with the token, and signing out."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from web.context import WebContext
from web.requests import body_within
from web.sessions import COOKIE

MAX_FORM = 4096


class SignIn:
    """The page that asks for the token.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/login", self.page), Route("/login", self.sign_in, methods=["POST"])]

    async def page(self, request: Request) -> Response:
        """Render the form."""
        return self._context.page(request, "login.html", problem="")

    async def sign_in(self, request: Request) -> Response:
        """Check the token and begin a session."""
        form = parse_qs((await body_within(request, MAX_FORM)).decode("utf-8", "replace"))
        sessions = self._context.sessions
        if not sessions.knows_token(form.get("token", [""])[0].strip()):
            return self._context.page(request, "login.html", 401, problem="This token is not valid.")
        response = RedirectResponse("/", 303)
        response.delete_cookie(COOKIE)
        self._context.set_cookie(request, response, sessions.issue())
        return response
