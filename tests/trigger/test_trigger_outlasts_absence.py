"""An outage of Pachyderm: the trigger reports it, waits, and loses no commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import grpc
import pytest
from conftest import TriggerHarness, configuration
from own_target import project_at
from served import Relay, Served, absentable

from pachyderm.client import connection
from pachyderm.client.connection import Connection, Target
from pachyderm.protocol import channel
from workflows.daemon.signals import Interruption
from workflows.trigger import wiring


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served | Relay]:
    with absentable(tmp_path / "store") as served:
        yield served


@pytest.fixture
def target(served: Served | Relay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    # Two attempts, half a second apart, so that the trigger notices sooner.
    monkeypatch.setattr(connection, "open_channel", partial(channel.open_channel, read_pauses=(0.5,)))
    return project_at(f"grpc://{served.address}", tmp_path / "work")


@contextmanager
def serving(harness: TriggerHarness) -> Iterator[None]:
    """A trigger in its own thread."""
    stopping = threading.Event()

    class Asked(Interruption):
        def check(self) -> None:
            if stopping.is_set():
                raise KeyboardInterrupt

    def serve() -> None:
        with suppress(KeyboardInterrupt):
            wiring.serve(replace(harness.context, interruption=Asked()), configuration())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()


def until(condition: Callable[[], object], seconds: float = 30.0) -> None:
    end, tick = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        tick.wait(0.05)


def reached(client: Connection) -> bool:
    """Whether a server answers: gRPC dials one that was away again only after a while."""
    try:
        client.get_version()
    except (grpc.RpcError, ConnectionError):
        return False
    return True


def test_a_trigger_survives_an_outage_of_pachyderm_and_runs_later_commits(
    harness: TriggerHarness, served: Served | Relay
) -> None:
    with serving(harness):
        before = harness.draw("before")
        until(lambda: harness.output("generate_images", before).state == "good")
        served.leave()
        until(lambda: any("retrying" in line for line in harness.messages))
        served.come_back()
        until(lambda: reached(harness.client))
        after = harness.draw("after")
        until(lambda: harness.output("generate_images", after).state == "good")
        until(lambda: "connected again" in harness.messages)
    (trouble,) = [line for line in harness.messages if "retrying" in line]
    assert trouble.startswith(("Pachyderm at grpc://", "no Pachyderm answers at grpc://"))
    began = [commit_set for repo, commit_set, *_ in harness.began() if repo == "generate_images"]
    assert began == [before, after]
