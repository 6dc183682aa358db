"""Reading of request bodies within limits, and the responses for errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from pachyderm.errors import (
    CommitFailedError,
    PachydermError,
    RequestError,
    StorageError,
    StoreError,
    UnreachableError,
)
from pix2pix.errors import InputError, Pix2PixError
from web.errors import NoModelError, OverloadedError, WebError

MEBIBYTE = 2**20
RETRY_AFTER = "2"
"""Seconds after which a refused client may try again."""

Endpoint = Callable[[Request], Awaitable[Response]]


async def body_within(request: Request, limit: int) -> bytes:
    """Read a body of at most `limit` bytes; a longer one is refused before it is read whole.

    Raises:
        HTTPException: 413, the body is longer.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise HTTPException(413, f"the body has {announced} bytes; at most {limit} are accepted")
    parts, total = [], 0
    async for part in request.stream():
        total += len(part)
        if total > limit:
            raise HTTPException(413, f"the body has more than {limit} bytes")
        parts.append(part)
    return b"".join(parts)


def error_response(request: Request, error: Exception) -> Response:
    """Return the JSON response for an expected error, ``{"error": text}``."""
    status = _status(error)
    headers = {"retry-after": RETRY_AFTER} if status == 503 else None
    text = error.detail if isinstance(error, HTTPException) else str(error)
    return JSONResponse({"error": text}, status, headers)


EXPECTED = (PachydermError, Pix2PixError, WebError, HTTPException)
"""Errors that `error_response` turns into a status code of their own."""


def _status(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    if isinstance(error, UnreachableError | OverloadedError | NoModelError):
        return 503
    if isinstance(error, StorageError):
        return 507
    if isinstance(error, RequestError | InputError | CommitFailedError):
        return 422
    return 500 if isinstance(error, StoreError) else 502
