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

from pachyderm.client.connection import Connection


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


class _Mortal:
    """A channel whose requests are counted, and end when life does."""

    def __init__(self, channel: grpc.Channel, life: Life) -> None:
        self._channel, self._life = channel, life

    def _counted(self, kind: str, method: str, forms: Any) -> Any:
        call, life = getattr(self._channel, kind)(method, **forms), self._life

        def counted(request: Any, **more: Any) -> Any:
            life.requests.append(method.rpartition("/")[2])
            if not life.last or len(life.requests) < life.last:
                return call(request, **more)
            if life.answered and len(life.requests) == life.last:
                answer = call(request, **more)
                if kind.endswith("stream"):
                    list(answer)
            raise Killed

        return counted

    def __getattr__(self, name: str) -> Any:
        if name.partition("_")[0] in ("unary", "stream"):
            return lambda method, **forms: self._counted(name, method, forms)
        return getattr(self._channel, name)


@contextmanager
def living(monkeypatch: pytest.MonkeyPatch, last: int = 0, answered: bool = False) -> Iterator[Life]:
    """Connections that are made within the block live as told."""
    life = Life([], last, answered)
    born = Connection.__init__

    def mortal(self: Connection, dial: Any, *more: Any) -> None:
        def dialled() -> Any:
            sending = dial()
            return lambda metadata: _Mortal(sending(metadata), life)

        born(self, dialled, *more)
        self._dial = dial

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "__init__", mortal)
        yield life
