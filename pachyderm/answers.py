"""Asks the server what it answers by the thousand, and reads the answers as `pachyderm.messages`.

It exists so that the rooms of commits and of listings share the one way past the SDK's slow messages, on the SDK's own
channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pachyderm.connection import Connection

_SERVICE = "/pfs_v2.API/"


def asked(client: Connection, method: str, request: Any, answer: Any) -> Any:
    """The answer to one request.

    Args:
        client: the connection.
        method: of `pfs_v2.API`.
        request: a message of the SDK.
        answer: the class of the answer, of `pachyderm.messages`.

    Raises:
        grpc.RpcError: the server refuses.
    """
    call = client.channel.unary_unary(
        _SERVICE + method, request_serializer=bytes, response_deserializer=answer.FromString
    )
    return call(request)


def streamed(client: Connection, method: str, request: Any, answer: Any) -> Iterator[Any]:
    """The answers to a request that has many; see `asked`."""
    call = client.channel.unary_stream(
        _SERVICE + method, request_serializer=bytes, response_deserializer=answer.FromString
    )
    yield from call(request)
