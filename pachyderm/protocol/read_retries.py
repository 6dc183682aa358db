"""Repetition of reads while the server is away.

gRPC can repeat requests itself. But with a retry policy in the service config, a stream whose server shuts down
sometimes waits forever and cannot even be cancelled (gRPC 1.85, one outage in ten on a machine under load).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import grpc

_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""What a client gets whose server is away, and what a server answers that is shutting down."""


class ReadRetries(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Repeats reads that fail because the server is away, a stream only before its first message.

    A request for which the caller set a timeout is not repeated.

    Args:
        methods: RPCs to repeat, by full name, e.g. ``/pfs_v2.API/ListCommit``.
        pauses: seconds before each repetition.
    """

    def __init__(self, methods: Collection[str], pauses: Sequence[float]) -> None:
        self._methods = frozenset(methods)
        self._pauses = tuple(pauses)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Send the request until the server answers, at most once for each pause more."""
        call = continuation(client_call_details, request)
        for seconds in self._pauses if self._is_repeated(client_call_details) else ():
            if call.code() not in _AWAY:
                break
            threading.Event().wait(seconds)
            call = continuation(client_call_details, request)
        return call

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Return a stream that repeats the request until the first message arrives."""
        if not self._is_repeated(client_call_details):
            return continuation(client_call_details, request)
        return _RepeatedStream(lambda: continuation(client_call_details, request), self._pauses)

    def _is_repeated(self, details: Any) -> bool:
        return details.method in self._methods and details.timeout is None


class _RepeatedStream:
    """A stream of responses; the rest of its interface is that of the latest gRPC call."""

    def __init__(self, send: Callable[[], Any], pauses: Sequence[float]) -> None:
        self._send = send
        self._pauses = iter(pauses)
        self._cancelled = threading.Event()
        self._started = False
        self._call = send()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self._started:
            return next(self._call)
        while True:
            try:
                message = next(self._call)
            except grpc.RpcError as error:
                seconds = next(self._pauses, None) if error.code() in _AWAY else None
                if seconds is None or self._cancelled.wait(seconds):
                    raise
                self._call = self._send()
                if self._cancelled.is_set():
                    self._call.cancel()
            else:
                self._started = True
                return message

    def cancel(self) -> None:
        """End the stream; it is not repeated."""
        self._cancelled.set()
        self._call.cancel()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)
