"""The embedded store as a gRPC channel without a connection: a request is answered in the thread that makes it.

It exists because gRPC's Python spends a tenth of a millisecond on each message of a stream, 11 s for a listing of
100,000 files, where who asks and who answers are one process anyway. What is asked and answered is the same as over it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from pachyderm.protocol.channel import MAX_MESSAGE_BYTES, Metadata

Form = Callable[[Any], Any] | None


class CallError(grpc.RpcError):
    """A request that was not answered."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Metadata = ()) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code, self._details, self._trailing = code, details, trailing

    def code(self) -> grpc.StatusCode:
        """The kind of refusal."""
        return self._code

    def details(self) -> str:
        """What was wrong."""
        return self._details

    def trailing_metadata(self) -> Any:
        """What goes with the refusal."""
        return self._trailing


def _cancelled(why: str) -> CallError:
    return CallError(grpc.StatusCode.CANCELLED, why)


class Calls:
    """The requests that threads are answering, so that whoever closes the channel can end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answering: dict[Context, threading.Thread] = {}
        self._over = threading.Condition(self._lock)
        self._closed = False

    def begin(self, context: Context) -> None:
        """Note that this thread answers a request.

        Raises:
            ValueError: the channel was closed; what gRPC raises there.
            CallError: the request was cancelled.
        """
        with self._lock:
            if self._closed:
                raise ValueError("Cannot invoke RPC on closed channel!")
            if not context.is_active():
                raise context.broken or _cancelled("the client went away")
            self._answering[context] = threading.current_thread()

    def end(self, context: Context) -> None:
        """Note that it does so no more."""
        with self._lock:
            self._answering.pop(context, None)
            if self._closed:
                self._over.notify_all()

    def close(self) -> None:
        """Let no request begin, tell those of other threads that nobody listens, and wait until they are over."""
        own = threading.current_thread()
        with self._lock:
            self._closed = True
            for context in self._answering:
                context.break_off(_cancelled("Channel closed!"))
            self._over.wait_for(lambda: all(thread is own for thread in self._answering.values()))


class Context:
    """What the store asks about a request and about who made it, as of gRPC's `ServicerContext`.

    Attributes:
        broken: why nobody listens any more, if so; it says more than what the store makes of that.
    """

    def __init__(self, metadata: Metadata) -> None:
        self.broken: CallError | None = None
        self._metadata = tuple(metadata)
        self._trailing: Metadata = ()
        self._gone = threading.Event()
        self._callbacks: list[Callable[[], None]] = []

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata that came with the request."""
        return self._metadata

    def is_active(self) -> bool:
        """Whether somebody listens."""
        return not self._gone.is_set()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Have a function called when nobody listens any more; False if that is so already."""
        self._callbacks.append(callback)
        return self.is_active()

    def break_off(self, error: CallError) -> CallError:
        """Nobody listens any more, because of this error."""
        self.broken = error
        self._gone.set()
        for callback in self._callbacks:
            callback()
        return error

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """Refuse the request."""
        raise CallError(code, details, self._trailing)

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """Send metadata with the refusal."""
        self._trailing = metadata

    def time_remaining(self) -> float | None:
        """Seconds until the request's deadline; there is none."""
        return None


@dataclass(frozen=True)
class _Method:
    """One RPC, and how it is called.

    Attributes:
        handler: answers it.
        serialize: message -> what is sent; None where it is sent as it is.
        parse: what is answered -> message, likewise.
        metadata: goes with each request.
        calls: notes what is being answered.
    """

    handler: Any
    serialize: Form
    parse: Form
    metadata: Metadata
    calls: Calls

    def _sent(self, request: Any, context: Context) -> Any:
        if self.handler.request_streaming:
            return (self._one_sent(one, context) for one in _unbroken(request, context))
        return self._one_sent(request, context)

    def _one_sent(self, request: Any, context: Context) -> Any:
        data = self.serialize(request) if self.serialize else request
        if len(data) > MAX_MESSAGE_BYTES:
            said = f"CLIENT: Sent message larger than max ({len(data)} vs. {MAX_MESSAGE_BYTES})"
            raise context.break_off(CallError(grpc.StatusCode.RESOURCE_EXHAUSTED, said))
        return self.handler.request_deserializer(data) if self.handler.request_deserializer else data

    def _answer(self, request: Any, context: Context) -> Any:
        # A handler has one of the four; the one for what is not served has another than the request wants.
        one = self.handler
        answer = one.unary_unary or one.unary_stream or one.stream_unary or one.stream_stream
        return answer(self._sent(request, context), context)

    def _received(self, answer: Any) -> Any:
        data = self.handler.response_serializer(answer)
        return self.parse(data) if self.parse else data

    def single(self, request: Any, metadata: Metadata | None = None, **_: Any) -> Any:
        """Make a request that has one answer."""
        context = Context((*self.metadata, *(metadata or ())))
        self.calls.begin(context)
        try:
            return self._received(self._answer(request, context))
        except CallError as error:
            raise context.broken or error from None
        finally:
            self.calls.end(context)

    def stream(self, request: Any, metadata: Metadata | None = None, **_: Any) -> Answers:
        """Make a request that has many answers; each is made when it is asked for."""
        context = Context((*self.metadata, *(metadata or ())))
        return Answers(self.calls, context, map(self._received, self._answer(request, context)))


class Answers(Iterator[Any]):
    """The answers to a request that has many."""

    def __init__(self, calls: Calls, context: Context, made: Iterator[Any]) -> None:
        self._calls, self._context, self._made = calls, context, made

    def __next__(self) -> Any:
        self._calls.begin(self._context)
        try:
            return next(self._made)
        except CallError as error:
            raise self._context.broken or error from None
        finally:
            self._calls.end(self._context)

    def cancel(self) -> None:
        """End it, from any thread."""
        self._context.break_off(_cancelled("Locally cancelled by application!"))


def _unbroken(requests: Iterator[Any], context: Context) -> Iterator[Any]:
    """The requests of a stream; as over a connection, one that cannot be made ends the call for both sides."""
    try:
        yield from requests
    except Exception as error:
        raise context.break_off(CallError(grpc.StatusCode.UNKNOWN, "Exception iterating requests!")) from error


@dataclass(frozen=True)
class _Asked(grpc.HandlerCallDetails):
    method: str
    invocation_metadata: tuple[tuple[str, str | bytes], ...] = ()


class DirectChannel(grpc.Channel):
    """A channel to a store in this process, for any number of threads.

    Args:
        answering: the store's handlers; close its engine after the channel.
        metadata: goes with each request.
    """

    def __init__(self, answering: Sequence[grpc.GenericRpcHandler], metadata: Metadata = ()) -> None:
        self._handlers = answering
        self._metadata = metadata
        self._calls = Calls()

    def with_metadata(self, metadata: Metadata) -> DirectChannel:
        """The same channel, with other metadata; closing either one closes both."""
        other = DirectChannel.__new__(DirectChannel)
        other._handlers, other._calls, other._metadata = self._handlers, self._calls, metadata
        return other

    def _method(self, method: str, serialize: Form, parse: Form) -> _Method:
        asked = _Asked(method)
        found = next(filter(None, (one.service(asked) for one in self._handlers)))
        return _Method(found, serialize, parse, self._metadata, self._calls)

    def unary_unary(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, _: bool = False
    ) -> Any:
        """Calls an RPC that has one answer; as in `grpc.Channel`."""
        return self._method(method, request_serializer, response_deserializer).single

    def unary_stream(
        self, method: str, request_serializer: Any = None, response_deserializer: Any = None, _: bool = False
    ) -> Any:
        """Calls an RPC that has many."""
        return self._method(method, request_serializer, response_deserializer).stream

    stream_unary, stream_stream = unary_unary, unary_stream

    def subscribe(self, callback: Callable[[grpc.ChannelConnectivity], None], _: bool | None = False) -> None:
        """Tell that the channel is ready, which it always is."""
        callback(grpc.ChannelConnectivity.READY)

    def unsubscribe(self, _: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """Nothing more would be told."""

    def close(self) -> None:
        """End what is being answered to other threads, and answer nothing more."""
        self._calls.close()

    def __enter__(self) -> DirectChannel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
