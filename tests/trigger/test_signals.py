"""SIGTERM and Ctrl-C: no action is interrupted halfway, the lead is released at once, the process ends in time."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from conftest import TriggerHarness, configuration
from fake_kubeflow import FakeKubeflow
from fake_kubernetes import FakeKubernetes
from own_target import own_target, project_at, set_up_at
from served import Served

from pachyderm.client.connection import Target
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING
from workflows.daemon import signals
from workflows.daemon.kubernetes_lease import KubernetesLease
from workflows.daemon.signals import Interruption
from workflows.settings.configuration import LeaseSettings
from workflows.trigger import wiring

# No assertion stands within `watched()`: after a signal it would be raised as KeyboardInterrupt, and end all tests.

LEASE = "kubeflow/pix2pix-trigger"


def refused(interruption: Interruption) -> bool:
    try:
        interruption.check()
    except KeyboardInterrupt:
        return True
    return False


def test_a_signal_interrupts_nothing_and_is_seen_where_the_loop_asks() -> None:
    # A shell starts background processes with SIGINT ignored.
    before = signal.getsignal(signal.SIGINT)
    interruption = Interruption()
    interruption.check()
    with interruption.watched():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
        seen = [refused(interruption) for _ in range(2)]
    assert seen == [True, True], "on every call"
    assert signal.getsignal(signal.SIGINT) is before


def test_what_fails_after_a_signal_fails_because_of_it_and_what_fails_before_does_not() -> None:
    with pytest.raises(KeyboardInterrupt), Interruption().watched():
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("broke off")
    with pytest.raises(ValueError, match="as ever"), Interruption().watched():
        raise ValueError("as ever")


def test_the_third_signal_ends_the_process_at_once() -> None:
    codes: list[int] = []
    ended = threading.Event()

    def end_now(code: int) -> None:
        codes.append(code)
        ended.set()

    before_each = []
    with Interruption(end_now=end_now).watched():
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            before_each.append(len(codes))
            signal.raise_signal(number)
        ended.wait(60)
    assert before_each == [0, 0, 0]
    assert codes == [128 + signal.SIGINT]


def test_a_signal_is_handled_while_the_main_thread_is_stuck_in_c_code() -> None:
    library = ctypes.CDLL(None)
    mutex = ctypes.create_string_buffer(64)
    library.pthread_mutex_lock(mutex)
    interruption = Interruption()
    released: list[str] = []

    def release() -> None:
        released.append(threading.current_thread().name)
        library.pthread_mutex_unlock(mutex)

    sender = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    # No limit of a test interrupts the wait, so that it would never end without this.
    rescue = threading.Timer(10.0, library.pthread_mutex_unlock, (mutex,))
    with interruption.watched(), interruption.on_signal(release):
        sender.start()
        rescue.start()
        library.pthread_mutex_lock(mutex)  # keeps waiting after a signal
    rescue.cancel()
    assert released == ["interruption"]


def test_an_action_registered_after_the_signal_runs_too_and_a_failing_one_stops_no_other() -> None:
    interruption = Interruption()
    done: list[str] = []
    both = threading.Event()

    def fail() -> None:
        raise OSError("no such luck")

    def work() -> None:
        done.append("early")
        both.set()

    with interruption.watched():
        with interruption.on_signal(fail), interruption.on_signal(work):
            signal.raise_signal(signal.SIGTERM)
            both.wait(10)
        with interruption.on_signal(lambda: done.append("late")):
            pass
    assert done == ["early", "late"]


def test_the_command_watches_before_its_slow_imports_and_ends_within_ten_seconds() -> None:
    script = """
import sys
from contextlib import contextmanager
from workflows.daemon import signals
def watched(self):
    print("workflows.trigger.wiring" in sys.modules, "grpc" in sys.modules, self._end_by.args)
    raise SystemExit(0)
signals.Interruption.watched = watched
from cli.main import main
main(["trigger", "--once"])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=2) == ["False", "False", f"({signals.EXITS_WITHIN},)\n"]
    assert signals.EXITS_WITHIN < 10


# SIGTERM at every point of a poll: in the process of the test, over gRPC, with a Lease.


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """Return a Pachyderm that is reached over a connection, as on a cluster."""
    target = own_target(tmp_path)
    if target.pachd is not None:
        yield target
        return
    with Served(tmp_path / "served") as served:
        yield project_at(f"grpc://{served.address}", tmp_path)


@contextmanager
def at_event(number: int, of: Callable[[str, Any, Any], bool]) -> Iterator[list[int]]:
    """SIGTERM at the event `number` of this thread that `of` selects; yields their number."""
    seen = [0]

    def profile(frame: Any, event: str, argument: Any) -> None:
        if of(event, frame, argument):
            seen[0] += 1
            if seen[0] == number:
                signal.raise_signal(signal.SIGTERM)

    sys.setprofile(profile)
    try:
        yield seen
    finally:
        sys.setprofile(None)


def taken_locks(event: str, frame: Any, argument: Any) -> bool:
    """Just after the acquisition of a lock, before a ``with`` block would release it."""
    return event == "c_return" and getattr(argument, "__name__", "") in ("acquire", "__enter__")


def calls(event: str, frame: Any, argument: Any) -> bool:
    return event in ("call", "return", "c_call", "c_return")


def stopped_at(
    harness: TriggerHarness, cluster: FakeKubernetes, number: int, of: Callable[[str, Any, Any], bool]
) -> int:
    """Serve until SIGTERM at one event; return the number of events until the end."""
    lease = lease_of(cluster, f"me:{number}")
    harness.draw(str(number))
    interruption = Interruption()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "leadership_for", lambda *_: lease)
        with pytest.raises(KeyboardInterrupt), interruption.watched(), at_event(number, of) as seen:
            wiring.serve(replace(harness.context, interruption=interruption), configuration())
    assert cluster.leases[LEASE]["spec"]["holderIdentity"] == ""
    assert not lease.is_leader()
    return seen[0]


def lease_of(cluster: FakeKubernetes, me: str) -> KubernetesLease:
    from kubernetes.client import ApiClient, Configuration, CoordinationV1Api

    api = Configuration()
    api.host = cluster.url
    settings = LeaseSettings(name="pix2pix-trigger", namespace="kubeflow", retry=0.1)
    return KubernetesLease(CoordinationV1Api(ApiClient(api)), settings, me, time.monotonic, time.time)


@pytest.mark.parametrize(("of", "points"), [(taken_locks, 10), (calls, 6)])
def test_sigterm_at_every_point_of_a_poll_ends_it_and_releases_the_lease(
    harness: TriggerHarness, of: Callable[[str, Any, Any], bool], points: int
) -> None:
    with FakeKubernetes() as cluster:
        # The first poll, with its start and its end, takes fewer events than this.
        within = count_of_first_poll(harness, cluster, of)
        for number in range(1, within, max(1, within // points)):
            stopped_at(harness, cluster, number, of)
    gc.collect()
    assert {item.state for item in harness.once()} <= {"good"}
    begun = [commit_set for repo, commit_set, *_ in harness.began() if repo == "generate_images"]
    assert len(begun) == len(set(begun))
    assert harness.head(INPUT_IMAGES).id == begun[-1]


def count_of_first_poll(harness: TriggerHarness, cluster: FakeKubernetes, of: Callable[[str, Any, Any], bool]) -> int:
    lease = lease_of(cluster, "counts")
    harness.draw("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "leadership_for", lambda *_: lease)
        with at_event(0, of) as seen:
            harness.once()
    return seen[0]


# SIGTERM while a request hangs: the command in its own process, with servers that accept and never answer.


class Hanging(grpc.GenericRpcHandler):
    """Forwards requests to a Pachyderm, and stops answering one method on request."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address.removeprefix("grpc://"))
        self.method = ""
        self.asked = threading.Event()
        self._let_go = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(64), handlers=[self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def service(self, handler_call_details: Any) -> Any:
        if self.method and handler_call_details.method.endswith(f"/{self.method}"):
            self.asked.set()
            self._let_go.wait()
        return grpc.stream_stream_rpc_method_handler(partial(self._forward, handler_call_details))

    def _forward(self, details: Any, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        metadata = [(key, value) for key, value in details.invocation_metadata if key == "pach-transaction"]
        call = self._channel.stream_stream(details.method)(requests, metadata=metadata)
        context.add_callback(call.cancel)
        try:
            yield from call
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def close(self) -> None:
        self._let_go.set()
        self._server.stop(0).wait()
        self._channel.close()


class Mute:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._kept: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                self._kept.append(self._socket.accept()[0])
                self.asked.set()

    def close(self) -> None:
        self._socket.close()
        for connection in self._kept:
            connection.close()


@dataclass
class Cluster:
    """The three servers of a cluster, and the command's settings for them."""

    pachyderm: Hanging
    kubeflow: FakeKubeflow
    kubernetes: FakeKubernetes
    folder: Path
    project: str
    ends: ExitStack

    def holder(self) -> str:
        return str(self.kubernetes.leases.get(LEASE, {}).get("spec", {}).get("holderIdentity", ""))

    def command(self, pachd: str, exits_within: float) -> subprocess.Popen[str]:
        """Start ``pix2pix trigger`` with an earlier end than usual."""
        (self.folder / "trigger.toml").write_text(
            f'runner = "kubeflow"\npoll_interval = 0.2\n[kubeflow]\nendpoint = "{self.kubeflow.url}"\n'
            '[lease]\nnamespace = "kubeflow"\nretry = 0.2\n'
        )
        contexts = {"contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}], "current-context": "c"}
        parts = {
            "clusters": [{"name": "c", "cluster": {"server": self.kubernetes.url}}],
            "users": [{"name": "u", "user": {}}],
        }
        (self.folder / "kubeconfig").write_text(json.dumps({**contexts, **parts}))
        script = (
            "import sys\nfrom workflows.daemon import signals\n"
            f"signals.EXITS_WITHIN = {exits_within}\nfrom cli.main import main\nmain(sys.argv[1:])\n"
        )
        settings = ["--config", str(self.folder / "trigger.toml")]
        process = subprocess.Popen(
            [sys.executable, "-c", script, "trigger", *settings],
            cwd=self.folder,
            env={
                **os.environ,
                "PACHD_ADDRESS": f"grpc://{pachd}",
                "PACH_PROJECT": self.project,
                "KUBECONFIG": str(self.folder / "kubeconfig"),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ends.enter_context(process)
        self.ends.callback(process.kill)
        return process


@pytest.fixture
def cluster(target: Target, tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as stack:
        client = stack.enter_context(set_up_at(target))
        for branch in (INPUT_IMAGES, TRAINING):
            with client.pfs.commit(branch=client.branch(branch)):
                pass
        pachyderm = Hanging(str(target.pachd))
        stack.callback(pachyderm.close)
        servers = stack.enter_context(FakeKubeflow()), stack.enter_context(FakeKubernetes())
        yield Cluster(pachyderm, *servers, tmp_path, target.project, stack.enter_context(ExitStack()))


def until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    tick = threading.Event()
    while not condition():
        assert process.poll() is None, f"it ended before: {process.stderr and process.stderr.read()}"
        tick.wait(0.02)


def ends(process: subprocess.Popen[str]) -> str:
    """Return what a stopped process logs until its end."""
    _, output = process.communicate(timeout=120)
    assert "SIGTERM: stopping" in output
    return output


FORCED = "Timeout (0:00:0"
"""Printed by `faulthandler` when it ends a process."""


@pytest.mark.parametrize(
    ("server", "request_"),
    [
        ("pachyderm", "ListCommit"),
        ("pachyderm", "EditMetadata"),
        ("kubeflow", "GET runs"),
        ("kubeflow", "POST runs"),
        *(pytest.param("pachyderm", name, marks=pytest.mark.long) for name in ("InspectCommit", "GetFile")),
        *(
            pytest.param("kubeflow", name, marks=pytest.mark.long)
            for name in ("GET experiments", "GET pipelines", "POST upload_version")
        ),
    ],
)
def test_sigterm_while_a_request_hangs_releases_the_lease_at_once_and_ends_the_process_in_time(
    cluster: Cluster, server: str, request_: str
) -> None:
    received = cluster.pachyderm.asked
    if server == "pachyderm":
        cluster.pachyderm.method = request_
    else:
        verb, _, end = request_.partition(" ")

        def fault(method: str, path: str) -> str | None:
            if method == verb and path.endswith(end):
                received.set()
                return "hang"
            return None

        cluster.kubeflow.faults = fault
    process = cluster.command(cluster.pachyderm.address, exits_within=3.0)
    until(lambda: received.is_set() and cluster.holder(), process)
    process.send_signal(signal.SIGTERM)
    # The main thread hangs, so it was not the process's end that released the lease.
    until(lambda: not cluster.holder(), process)
    output = ends(process)
    assert "released the lease" in output
    assert FORCED in output
    assert process.returncode == 1


def test_sigterm_while_the_connection_to_pachyderm_hangs_releases_the_lease_at_once(cluster: Cluster) -> None:
    mute = Mute()
    process = cluster.command(mute.address, exits_within=3.0)
    until(lambda: mute.asked.is_set() and cluster.holder(), process)
    process.send_signal(signal.SIGTERM)
    until(lambda: not cluster.holder(), process)
    ends(process)
    mute.close()


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_sigterm_while_the_kubernetes_api_hangs_ends_the_process_by_itself(cluster: Cluster, method: str) -> None:
    interruption = threading.Event()

    def fault(verb: str) -> str | None:
        if cluster.holder() and verb == method:
            interruption.set()
            return "hang"
        return None

    cluster.kubernetes.faults = fault
    process = cluster.command(cluster.pachyderm.address, exits_within=60.0)
    until(interruption.is_set, process)
    process.send_signal(signal.SIGTERM)
    output = ends(process)
    assert "was not released" in output
    assert FORCED not in output


def test_a_trigger_stops_by_itself_if_nothing_hangs(cluster: Cluster) -> None:
    process = cluster.command(cluster.pachyderm.address, exits_within=60.0)
    until(lambda: cluster.holder() and cluster.kubeflow.runs, process)
    process.send_signal(signal.SIGTERM)
    output = ends(process)
    assert cluster.holder() == ""
    assert FORCED not in output
