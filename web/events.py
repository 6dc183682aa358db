"""Server-sent events: pages learn that a head has moved, a commit has ended or the model in use has changed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette.sse import EventSourceResponse
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pachyderm.client.commits import head
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUTS, MODEL, PROVENANCE
from pachyderm.errors import PachydermError
from pachyderm.queue.open_commits import OpenCommits
from pix2pix.errors import Pix2PixError
from web.context import WebContext

logger = logging.getLogger(__name__)


class Events:
    """One task looks at Pachyderm; every open page waits for what it sees.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._state: dict[str, Any] = {"version": "", "model": None, "problem": ""}
        self._changed = asyncio.Condition()
        self._stopping = asyncio.Event()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [Route("/events", self.stream)]

    async def stream(self, request: Request) -> Response:
        """Send the state now, and again whenever it changes."""
        return EventSourceResponse(self._stream(), ping=15)

    async def watch(self) -> None:
        """Look at Pachyderm until `stop`; the model in use is loaded as soon as its head moves."""
        while not self._stopping.is_set():
            state = await run_in_threadpool(self._look)
            if state != self._state:
                async with self._changed:
                    self._state = state
                    self._changed.notify_all()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), self._context.configuration.poll_interval)

    def stop(self) -> None:
        """Make `watch` return after the look that is in progress: a thread cannot be cancelled."""
        self._stopping.set()

    async def _stream(self) -> AsyncIterator[dict[str, str]]:
        state = None
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda state=state: state != self._state)  # type: ignore[misc]
                state = self._state
            yield {"event": "state", "data": json.dumps(state)}

    def _look(self) -> dict[str, Any]:
        models = self._context.service.models
        problem = ""
        try:
            models.refresh()
            with self._context.backend.client() as client:
                version = _version(client)
        except (PachydermError, Pix2PixError) as error:
            if str(error) != self._state["problem"]:
                logger.warning("%s", error)
            problem, version = str(error), self._state["version"]
        model = models.model
        return {"version": version, "model": model.commit if model is not None else None, "problem": problem}


def _version(client: Connection) -> str:
    """Return a digest of the heads and of the open commits with their claims."""
    digest = hashlib.sha256()
    for branch in (*INPUTS, *PROVENANCE, MODEL):
        commit = head(client, branch)
        digest.update(f"{branch} {commit.id} {commit.state}\n".encode())
    for entry in OpenCommits(client).scan():
        digest.update(f"{entry.commit} {sorted(entry.commit.metadata)}\n".encode())
    return digest.hexdigest()
