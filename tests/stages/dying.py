"""A connection that dies with its process: from its n-th request on, nothing reaches the server any more.

To a server, a killed process is one whose requests stop; so dying before or after each request, at every request that
a stage makes, is every way in which a stage can be killed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

import pachyderm.connection


class Killed(BaseException):
    """The process is gone; no handler of it does anything more."""


@dataclass
class Life:
    """How many requests a process may make.

    Attributes:
        requests: made so far, by name.
        last: the request at which it dies, from 1; 0 for never.
        answered: whether that request still reaches the server.
    """

    requests: list[str]
    last: int = 0
    answered: bool = False


class _Counter(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc]
    grpc.StreamUnaryClientInterceptor,  # type: ignore[misc]
    grpc.StreamStreamClientInterceptor,  # type: ignore[misc]
):
    def __init__(self, life: Life) -> None:
        self._life = life

    def _call(self, continuation: Any, details: Any, request: Any) -> Any:
        life = self._life
        life.requests.append(details.method.rpartition("/")[2])
        if life.last and len(life.requests) >= life.last:
            if life.answered and len(life.requests) == life.last:
                answer = continuation(details, request)
                if hasattr(answer, "result") and not hasattr(answer, "__next__"):
                    answer.result()
                else:
                    list(answer)
            raise Killed
        return continuation(details, request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _call


@contextmanager
def living(monkeypatch: pytest.MonkeyPatch, last: int = 0, answered: bool = False) -> Iterator[Life]:
    """Connections that are made within the block live as told."""
    life = Life([], last, answered)
    opened = pachyderm.connection.opened

    def mortal(address: str, root_certs: bytes | None) -> grpc.Channel:
        return grpc.intercept_channel(opened(address, root_certs), _Counter(life))

    with monkeypatch.context() as patch:
        patch.setattr(pachyderm.connection, "opened", mortal)
        yield life
