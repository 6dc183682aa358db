"""At its start a trigger waits for a server that fails, and gives up on a request that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from pachyderm.client.connection import Target
from pachyderm.errors import RequestError
from workflows.settings.configuration import Configuration
from workflows.trigger.wiring import TriggerContext, serve


class Failing(grpc.GenericRpcHandler):
    """Answers every request with an error."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        self._code, self._text = code, text

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        def fail(_: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            context.abort(self._code, self._text)

        return grpc.unary_stream_rpc_method_handler(fail)


@contextmanager
def failing_server(code: grpc.StatusCode, text: str) -> Iterator[Target]:
    server = grpc.server(ThreadPoolExecutor(2), [Failing(code, text)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Target(pachd=f"grpc://127.0.0.1:{port}")
    finally:
        server.stop(None).wait()


def trigger(target: Target, folder: Path) -> Any:
    """Serve until the trigger reports a problem that it waits for."""

    def stop(line: str) -> None:
        raise KeyboardInterrupt(line)

    return serve(TriggerContext(target, folder, "tests:1", stop), Configuration())


def test_a_trigger_waits_for_a_server_that_fails(tmp_path: Path) -> None:
    with (
        failing_server(grpc.StatusCode.INTERNAL, "database is starting") as target,
        pytest.raises(KeyboardInterrupt, match="database is starting; retrying"),
    ):
        trigger(target, tmp_path)


def test_a_trigger_gives_up_on_a_refused_request(tmp_path: Path) -> None:
    with (
        failing_server(grpc.StatusCode.UNKNOWN, "bad project name") as target,
        pytest.raises(RequestError, match="bad project name"),
    ):
        trigger(target, tmp_path)
