"""Time limits for reads: fails a read whose server is connected but sends nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

_STARTED = pfs.CommitState.STARTED.value


class ReadTimeoutError(grpc.RpcError):
    """The server sent nothing for too long; has a code and details as every error of a gRPC call."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no data received for {seconds:g} s")

    def code(self) -> grpc.StatusCode:
        """Return the gRPC status code."""
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        """Return the message."""
        return str(self)


class ReadTimeout(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Bounds the time that a read waits for the next message of the server.

    HTTP/2 keepalive does not replace it: pings are answered by the server's transport, also when no handler runs. A
    `ListCommit` without a deadline was seen to hang for 9 minutes after its server had exited, on a machine under load.

    A request that waits for a commit (`InspectCommit` and `InspectCommitSet` with ``wait``) is not limited: it has
    nothing to send until the commit finishes, which takes as long as the work takes.

    Args:
        methods: RPCs to limit, by full name, e.g. ``/pfs_v2.API/ListCommit``.
        seconds: for a response, or for the next message of a stream.
    """

    def __init__(self, methods: Collection[str], seconds: float) -> None:
        self._methods = frozenset(methods)
        self._seconds = seconds
        self._watchdog = _Watchdog(seconds)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Set a deadline where the caller gave none."""
        if client_call_details.timeout is None and self._is_limited(client_call_details, request):
            client_call_details = client_call_details._replace(timeout=self._seconds)
        return continuation(client_call_details, request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Limit each wait for a message; the stream as a whole may take as long as it sends."""
        call = continuation(client_call_details, request)
        return _LimitedStream(call, self._watchdog) if self._is_limited(client_call_details, request) else call

    def _is_limited(self, details: Any, request: Any) -> bool:
        # `wait` is a CommitState in InspectCommitRequest and a bool in InspectCommitSetRequest.
        wait = getattr(request, "wait", None)
        return details.method in self._methods and wait is not True and int(wait or 0) <= _STARTED


class _LimitedStream:
    """A stream of responses; the rest of its interface is that of the gRPC call."""

    def __init__(self, call: Any, watchdog: _Watchdog) -> None:
        self._call, self._watchdog = call, watchdog

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self._watchdog.enter(self._call)
        try:
            return next(self._call)
        except grpc.RpcError as error:
            if self._watchdog.has_cancelled(self._call):
                raise ReadTimeoutError(self._watchdog.seconds) from error
            raise
        finally:
            self._watchdog.leave(self._call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _Watchdog:
    """Cancels calls that have waited for a message longer than `seconds`.

    One thread watches all calls of a channel. It starts with the first wait and ends when it wakes and nothing waits,
    so a message costs two dictionary operations and no thread.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        # Call -> when its message is overdue. The limit is the same for all, so the order is that of the deadlines.
        self._waiting: dict[Any, float] = {}
        self._cancelled: set[Any] = set()
        self._thread: threading.Thread | None = None

    def enter(self, call: Any) -> None:
        """Start the clock for the next message of a call."""
        with self._lock:
            self._waiting[call] = time.monotonic() + self.seconds
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._watch, name="read-timeout", daemon=True)
                self._thread.start()

    def leave(self, call: Any) -> None:
        """Stop the clock of a call."""
        with self._lock:
            self._waiting.pop(call, None)
            self._cancelled.discard(call)

    def has_cancelled(self, call: Any) -> bool:
        """Return whether the call's current wait was ended by this watchdog."""
        with self._lock:
            return call in self._cancelled

    def _watch(self) -> None:
        while (pause := self._cancel_overdue()) is not None:
            time.sleep(pause)

    def _cancel_overdue(self) -> float | None:
        """Cancel what is overdue; return the seconds until the next deadline, or None if nothing waits."""
        with self._lock:
            now = time.monotonic()
            for call, deadline in list(self._waiting.items()):
                if deadline > now:
                    return deadline - now
                del self._waiting[call]
                self._cancelled.add(call)
                call.cancel()
            self._thread = None
            return None
