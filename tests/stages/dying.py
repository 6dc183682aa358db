"""A connection that dies with its process: from its n-th request on, nothing reaches the server.

To a server, a killed process is one whose requests stop. Dying before or after each request of a stage therefore covers
every way in which the stage can be killed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from pachyderm.client.connection import Connection


class Killed(BaseException):
    """The process is gone: derived from BaseException, so that no error handler of it runs."""


@dataclass
class Life:
    """How many requests a process may make.

    Attributes:
        requests: names of the requests made so far.
        last: number of the request at which the process dies, from 1; 0 for never.
        answered: whether that request still reaches the server.
        sudden: whether the real process is killed; otherwise its requests stop and `Killed` is raised.
    """

    requests: list[str]
    last: int = 0
    answered: bool = False
    sudden: bool = False

    def end(self) -> Killed:
        """End the life: return what to raise, unless the real process is killed."""
        if self.sudden:
            os.kill(os.getpid(), signal.SIGKILL)
        return Killed()


class _MortalChannel:
    """A channel that counts its requests and refuses them once its process is dead."""

    def __init__(self, channel: grpc.Channel, life: Life) -> None:
        self._channel, self._life = channel, life

    def _counted(self, kind: str, method: str, *codecs: Any, **named_codecs: Any) -> Any:
        call, life = getattr(self._channel, kind)(method, *codecs, **named_codecs), self._life

        def send(request: Any, **options: Any) -> Any:
            life.requests.append(method.rpartition("/")[2])
            if not life.last or len(life.requests) < life.last:
                return call(request, **options)
            if life.answered and len(life.requests) == life.last:
                answer = call(request, **options)
                if kind.endswith("stream"):
                    list(answer)
            raise life.end()

        return send

    def __getattr__(self, name: str) -> Any:
        if name.partition("_")[0] in ("unary", "stream"):
            return lambda method, *codecs, **named_codecs: self._counted(name, method, *codecs, **named_codecs)
        return getattr(self._channel, name)


@contextmanager
def living(
    monkeypatch: pytest.MonkeyPatch, last: int = 0, answered: bool = False, sudden: bool = False
) -> Iterator[Life]:
    """Count the requests of the connections that are made within the block, and kill them at the `last` one."""
    life = Life([], last, answered, sudden)
    unpatched = Connection.__init__

    def mortal(self: Connection, dial: Any, *arguments: Any) -> None:
        def dial_mortal() -> Any:
            with_metadata = dial()
            return lambda metadata: _MortalChannel(with_metadata(metadata), life)

        unpatched(self, dial_mortal, *arguments)
        self._dial = dial

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "__init__", mortal)
        yield life
