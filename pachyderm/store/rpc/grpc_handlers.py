"""gRPC handlers derived from the SDK's client stubs, so that the store and its clients agree on every message.

The SDK generates no server code: the stubs are run against a recording channel to find their methods and messages.
"""

from __future__ import annotations

import importlib
import logging
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import betterproto
import grpc

from pachyderm.store.request_limits import LONGEST_REQUEST
from pachyderm.store.status_errors import StatusError, from_exception, invalid_argument, unimplemented

logger = logging.getLogger(__name__)

LONGEST_TEXT = 2000
"""Maximum number of characters of an error text; gRPC limits the size of trailers."""

DETAILS = "grpc-status-details-bin"
"""Metadata key under which gRPC clients expect the details of an error."""


Method = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Call:
    """One RPC of a stub.

    Attributes:
        service: e.g. ``pfs_v2.API``.
        name: e.g. ``CreateRepo``.
        method: name of the stub's method, e.g. ``create_repo``.
        kind: name of the channel's method, e.g. ``unary_stream``.
    """

    service: str
    name: str
    method: str
    kind: str


class _Unreadable:
    """Placeholder for a request that could not be parsed.

    An exception in a deserializer would end the request with INTERNAL, without a text for the client.
    """


class _RecordingChannel:
    """A channel that records the request that a stub sends."""

    def __init__(self) -> None:
        self.request: Any = None

    def __getattr__(self, kind: str) -> Any:
        def register(path: str, **_: Any) -> Any:
            def call(request: Any = None, *_: Any, **__: Any) -> Any:
                self.request = request
                return iter(())

            call.path, call.kind = path, kind  # type: ignore[attr-defined]
            return call

        return register


def calls(module: str) -> list[Call]:
    """Return the RPCs of the service in one of the SDK's packages, e.g. ``pachyderm_sdk.api.pfs``."""
    stub = importlib.import_module(module).ApiStub(_RecordingChannel())
    found = []
    for attribute, registered in vars(stub).items():
        service, name = registered.path[1:].split("/")
        found.append(Call(service, name, attribute.partition("__rpc_")[2], registered.kind))
    return found


def request_class(module: str, method: str) -> Any:
    """Return the message class of an RPC's requests: what the stub sends, or the annotation of its request stream."""
    package = importlib.import_module(module)
    function = getattr(package.ApiStub, method)
    streamed = function.__annotations__.get("request_iterator")
    if streamed:
        inner = typing.get_args(typing.get_args(streamed)[0])[0]
        return getattr(package, getattr(inner, "__forward_arg__", getattr(inner, "__name__", "")))
    channel = _RecordingChannel()
    responses = function(package.ApiStub(channel))
    if hasattr(responses, "__next__"):
        next(responses, None)
    return type(channel.request)


def handler(
    module: str, methods: dict[str, Method], readers: Mapping[str, Callable[[bytes], Any]]
) -> grpc.GenericRpcHandler:
    """Return the handler of the service in one of the SDK's packages.

    Args:
        module: the package.
        methods: name of the stub's method -> function of request and context; any other method is UNIMPLEMENTED.
        readers: name of the stub's method -> parser of its requests, in place of the message class.

    Raises:
        ValueError: a method is not one of the service.
    """
    table = {}
    known = calls(module)
    unknown = set(methods) - {call.method for call in known}
    if unknown:
        raise ValueError(f"{module} lacks the methods {sorted(unknown)}")
    for call in known:
        function = methods.get(call.method) or _unserved(call)
        served = call.method in methods
        reader = _reader(readers.get(call.method) or _lazy(module, call.method)) if served else bytes
        streams_in, streams_out = call.kind.startswith("stream"), call.kind.endswith("stream")
        wrapped = _streaming(call, function, streams_in) if streams_out else _single(call, function, streams_in)
        maker = getattr(grpc, f"{call.kind}_rpc_method_handler")
        table[call.name] = maker(wrapped, request_deserializer=reader, response_serializer=bytes)
    return grpc.method_handlers_generic_handler(known[0].service, table)


def _lazy(module: str, method: str) -> Callable[[bytes], Any]:
    """Return a parser that looks up its message class at the first request: all of them at once take 0.1 s."""
    found: list[Any] = []

    def read(data: bytes) -> Any:
        if len(data) > LONGEST_REQUEST:
            raise ValueError("the request is too long")
        if not found:
            found.append(request_class(module, method))
        return well_formed(found[0].FromString(data))

    return read


_PLAIN = {betterproto.TYPE_STRING: str, betterproto.TYPE_BYTES: bytes, betterproto.TYPE_MAP: dict}


def well_formed(message: Any) -> Any:
    """Return the message if every value has the type of its field, which the SDK's decoder does not check.

    Raises:
        TypeError: a value has another type.
    """
    for name, meta in message._betterproto.meta_by_field_name.items():
        raw = object.__getattribute__(message, name)
        if raw is betterproto.PLACEHOLDER or meta.wraps:
            continue
        if raw is None and (meta.optional or meta.group):
            continue
        repeated = message._betterproto.default_gen[name] is list
        if isinstance(raw, list) != repeated:
            raise TypeError(name)
        for value in raw if repeated else [raw]:
            if isinstance(value, betterproto.Message):
                if meta.proto_type != betterproto.TYPE_MESSAGE:
                    raise TypeError(name)
                well_formed(value)
            elif meta.proto_type == betterproto.TYPE_MESSAGE:
                if not isinstance(value, (datetime, timedelta)):
                    raise TypeError(name)
            elif not isinstance(value, _PLAIN.get(meta.proto_type, (int, float))):
                raise TypeError(name)
    return message


class UnknownMethods(grpc.GenericRpcHandler):
    """Ends every RPC that no other handler serves with UNIMPLEMENTED, naming it."""

    def service(self, handler_call_details: Any) -> Any:
        """Return a handler for any method."""
        name = handler_call_details.method

        def refuse(_: Any, context: Any) -> None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not served by the embedded store")

        return grpc.stream_stream_rpc_method_handler(refuse)


def _unserved(call: Call) -> Method:
    def refuse(_: Any, __: Any) -> Any:
        raise unimplemented(f"{call.service}/{call.name}")

    return refuse


def _reader(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def reader(data: bytes) -> Any:
        try:
            return read(data)
        except Exception:  # noqa: BLE001 - a malformed message can raise anything in the decoder
            return _Unreadable()

    return reader


def _checked(request: Any) -> Any:
    if isinstance(request, _Unreadable):
        raise invalid_argument(f"the request is not a message of this call, or has more than {LONGEST_REQUEST} bytes")
    return request


def _request(request: Any, streams_in: bool) -> Any:
    return map(_checked, request) if streams_in else _checked(request)


def _single(call: Call, function: Method, streams_in: bool) -> Method:
    def single(request: Any, context: Any) -> Any:
        try:
            return function(_request(request, streams_in), context)
        except Exception as error:  # noqa: BLE001 - every failure becomes a status
            status_error = _status_error(call, error, context)
        _abort(status_error, context)
        return None

    return single


def _streaming(call: Call, function: Method, streams_in: bool) -> Method:
    def streaming(request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from function(_request(request, streams_in), context)
        except Exception as error:  # noqa: BLE001 - every failure becomes a status
            status_error = _status_error(call, error, context)
        else:
            return
        _abort(status_error, context)

    return streaming


def _abort(error: StatusError, context: Any) -> None:
    if error.status:
        context.set_trailing_metadata(((DETAILS, error.status),))
    context.abort(error.code, error.text[:LONGEST_TEXT])


def _status_error(call: Call, error: Exception, context: Any) -> StatusError:
    status_error = from_exception(error)
    if status_error is not None:
        return status_error
    if not context.is_active():
        return StatusError("the client went away", grpc.StatusCode.CANCELLED)
    logger.error("%s/%s failed", call.service, call.name, exc_info=error)
    return StatusError(f"{call.name} failed inside the store: {type(error).__name__}", grpc.StatusCode.INTERNAL)
