"""A trigger waits for a server that fails, repeats what the server's database gave up, and gives up on a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from fake_pachyderm import FakeRpcError
from test_rules import TRAIN, SimulatedTrigger

from pachyderm.client.connection import Target
from pachyderm.dag.repos import TRAINING
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


@pytest.mark.parametrize("request_number", [1, 2])
def test_an_action_that_the_servers_database_gave_up_is_repeated_at_the_next_poll(
    monkeypatch: pytest.MonkeyPatch, request_number: int
) -> None:
    trigger = SimulatedTrigger()
    edit_keys, sent = trigger.pachyderm.edit_keys, []

    def conflicting(*args: Any, **keys: Any) -> None:
        sent.append(args)
        if len(sent) == request_number:
            raise FakeRpcError(grpc.StatusCode.UNKNOWN, "ERROR: current transaction is aborted (SQLSTATE 25P02)")
        edit_keys(*args, **keys)

    monkeypatch.setattr(trigger.pachyderm, "edit_keys", conflicting)
    commit_set = trigger.pachyderm.put(TRAINING)
    for _ in range(5):
        trigger.tick(2.0)
    assert trigger.live() == [f"{TRAIN} 1"]
    trigger.works()
    assert len(sent) > request_number
    assert trigger.error("model", commit_set) == ""
    assert trigger.pachyderm.rows["model", commit_set].effects == 1
