"""gRPC handlers made from the SDK's own stubs, so that the store and its clients cannot disagree about a message.

It exists because the SDK has the client's side alone: a stub is asked for its calls with a channel that only listens.
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

from pachyderm.store.limits import LONGEST_REQUEST
from pachyderm.store.refusals import Refusal, invalid, of_failure, unserved

logger = logging.getLogger(__name__)

LONGEST_TEXT = 2000
"""Characters of an error text that are sent; gRPC refuses headers that are too long."""

DETAILS = "grpc-status-details-bin"
"""Key of the metadata in which gRPC's clients look for the details of an error."""


Method = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Call:
    """One RPC as a stub knows it.

    Attributes:
        service: e.g. ``pfs_v2.API``.
        name: e.g. ``CreateRepo``.
        method: the stub's name for it, e.g. ``create_repo``.
        kind: the channel's method, e.g. ``unary_stream``.
    """

    service: str
    name: str
    method: str
    kind: str


class _Unreadable:
    """Stands for a request whose bytes are no message."""


class _Listener:
    """A channel that notes what a stub does with it."""

    def __init__(self) -> None:
        self.heard: Any = None

    def __getattr__(self, kind: str) -> Any:
        def register(path: str, **_: Any) -> Any:
            def call(request: Any = None, *_: Any, **__: Any) -> Any:
                self.heard = request
                return iter(())

            call.path, call.kind = path, kind  # type: ignore[attr-defined]
            return call

        return register


def calls(module: str) -> list[Call]:
    """The RPCs of the service of one of the SDK's packages, e.g. ``pachyderm_sdk.api.pfs``."""
    stub = importlib.import_module(module).ApiStub(_Listener())
    found = []
    for attribute, registered in vars(stub).items():
        service, name = registered.path[1:].split("/")
        found.append(Call(service, name, attribute.partition("__rpc_")[2], registered.kind))
    return found


def request_class(module: str, method: str) -> Any:
    """The message class of an RPC's requests: what the stub sends, or what a stream is annotated with."""
    package = importlib.import_module(module)
    function = getattr(package.ApiStub, method)
    streamed = function.__annotations__.get("request_iterator")
    if streamed:
        inner = typing.get_args(typing.get_args(streamed)[0])[0]
        return getattr(package, getattr(inner, "__forward_arg__", getattr(inner, "__name__", "")))
    listener = _Listener()
    answer = function(package.ApiStub(listener))
    if hasattr(answer, "__next__"):
        next(answer, None)
    return type(listener.heard)


def handler(
    module: str, methods: dict[str, Method], readers: Mapping[str, Callable[[bytes], Any]]
) -> grpc.GenericRpcHandler:
    """Serve one of the SDK's packages.

    Args:
        module: the package.
        methods: the stub's method name -> function of request and context; what is missing answers UNIMPLEMENTED.
        readers: the stub's method name -> reader of its requests, in place of the message class.
    """
    table = {}
    known = calls(module)
    strangers = set(methods) - {call.method for call in known}
    if strangers:
        raise ValueError(f"{module} has no {sorted(strangers)}")
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
    """A reader that finds its message class at the first request: all of them at the start would cost 0.1 s."""
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
    """The message, if each of its values has the type of its field: the SDK's decoder takes whatever comes.

    Raises:
        TypeError: a value is of another type.
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


class Rest(grpc.GenericRpcHandler):
    """Answers every RPC that no other handler serves: UNIMPLEMENTED, with its name."""

    def service(self, handler_call_details: Any) -> Any:
        """Serve any method."""
        name = handler_call_details.method

        def refuse(_: Any, context: Any) -> None:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not served by the embedded store")

        return grpc.stream_stream_rpc_method_handler(refuse)


def _unserved(call: Call) -> Method:
    def refuse(_: Any, __: Any) -> Any:
        raise unserved(f"{call.service}/{call.name}")

    return refuse


def _reader(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def reader(data: bytes) -> Any:
        try:
            return read(data)
        except Exception:  # noqa: BLE001 - whatever a malformed message does to the decoder
            return _Unreadable()

    return reader


def _checked(request: Any) -> Any:
    if isinstance(request, _Unreadable):
        raise invalid(f"the request is no message of this call, or has more than {LONGEST_REQUEST} bytes")
    return request


def _request(request: Any, streams_in: bool) -> Any:
    return map(_checked, request) if streams_in else _checked(request)


def _single(call: Call, function: Method, streams_in: bool) -> Method:
    def single(request: Any, context: Any) -> Any:
        try:
            return function(_request(request, streams_in), context)
        except Exception as error:  # noqa: BLE001 - every failure is answered
            refusal = _refusal(call, error, context)
        _abort(refusal, context)
        return None

    return single


def _streaming(call: Call, function: Method, streams_in: bool) -> Method:
    def streaming(request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from function(_request(request, streams_in), context)
        except Exception as error:  # noqa: BLE001 - every failure is answered
            refusal = _refusal(call, error, context)
        else:
            return
        _abort(refusal, context)

    return streaming


def _abort(refusal: Refusal, context: Any) -> None:
    if refusal.status:
        context.set_trailing_metadata(((DETAILS, refusal.status),))
    context.abort(refusal.code, refusal.text[:LONGEST_TEXT])


def _refusal(call: Call, error: Exception, context: Any) -> Refusal:
    refusal = of_failure(error)
    if refusal is not None:
        return refusal
    if not context.is_active():
        return Refusal("the client went away", grpc.StatusCode.CANCELLED)
    logger.error("%s/%s failed", call.service, call.name, exc_info=error)
    return Refusal(f"{call.name} failed inside the store: {type(error).__name__}", grpc.StatusCode.INTERNAL)
