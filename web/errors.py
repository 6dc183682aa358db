"""Errors of the web application.

WebError
├── StartError       the application cannot start: an address without a token, a port in use
├── NoModelError     no model is in use yet
└── OverloadedError  too many requests wait for the model                            (retryable)
"""

from __future__ import annotations

from typing import ClassVar


class WebError(Exception):
    """Base of this layer's errors; the message states the problem and the remedy.

    Attributes:
        retryable: whether the same request may succeed later without anybody changing the request or its input.
    """

    retryable: ClassVar[bool] = False


class StartError(WebError):
    """The application cannot start with these settings."""


class NoModelError(WebError):
    """No model is in use yet."""


class OverloadedError(WebError):
    """Too many requests wait for the model."""

    retryable = True
