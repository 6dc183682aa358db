"""Leader election: one trigger leads at a time, a dead leader loses the lead, a paused one knows that it lost it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_kubernetes import FakeKubernetes

from workflows.daemon.kubernetes_lease import KubernetesLease
from workflows.daemon.lease import LockFile
from workflows.errors import RunInputError
from workflows.settings.configuration import LeaseSettings

SETTINGS = LeaseSettings(name="pix2pix-trigger", namespace="kubeflow")


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster() -> Iterator[FakeKubernetes]:
    with FakeKubernetes() as fake:
        yield fake


def lease(
    cluster: FakeKubernetes,
    me: str,
    steady: Time,
    wall: float | Time = 1_700_000_000.0,
    settings: LeaseSettings = SETTINGS,
) -> KubernetesLease:
    from kubernetes.client import ApiClient, Configuration, CoordinationV1Api

    configuration = Configuration()
    configuration.host = cluster.url
    configuration.retries = False
    clock = wall if isinstance(wall, Time) else lambda: wall
    return KubernetesLease(CoordinationV1Api(ApiClient(configuration)), settings, me, steady, clock)


def holder(cluster: FakeKubernetes) -> str:
    return str(cluster.leases["kubeflow/pix2pix-trigger"]["spec"]["holderIdentity"])


def test_the_first_takes_the_lead_and_the_second_waits(cluster: FakeKubernetes) -> None:
    time = Time()
    a, b = lease(cluster, "a", time), lease(cluster, "b", time)
    assert a.step()
    assert a.is_leader()
    assert not b.step()
    assert not b.is_leader()
    assert b.holder() == "a"
    assert holder(cluster) == "a"


def test_a_lead_that_is_renewed_is_never_taken(cluster: FakeKubernetes) -> None:
    time = Time()
    a, b = lease(cluster, "a", time), lease(cluster, "b", time)
    for _ in range(20):
        assert a.step()
        assert not b.step()
        time.now += 2
    assert cluster.leases["kubeflow/pix2pix-trigger"]["spec"]["leaseTransitions"] == 0


def test_a_dead_leader_is_replaced_after_the_lease_expired_by_the_observers_clock(cluster: FakeKubernetes) -> None:
    time = Time()
    lease(cluster, "a", time, wall=4_000_000_000.0).step()
    b = lease(cluster, "b", time, wall=0.0)
    assert not b.step()
    time.now += 14.9
    assert not b.step()
    time.now += 0.1
    assert b.step()
    assert holder(cluster) == "b"
    assert cluster.leases["kubeflow/pix2pix-trigger"]["spec"]["leaseTransitions"] == 1


def test_a_paused_leader_stops_acting_before_another_may_begin(cluster: FakeKubernetes) -> None:
    time = Time()
    a, b = lease(cluster, "a", time), lease(cluster, "b", time)
    a.step()
    b.step()
    time.now += 10
    assert not a.is_leader()
    assert not b.step()
    time.now += 5
    assert b.step()
    assert not a.step()
    assert not a.is_leader()
    assert b.is_leader()


def spec(cluster: FakeKubernetes) -> dict[str, Any]:
    return dict(cluster.leases["kubeflow/pix2pix-trigger"]["spec"])


def test_the_fields_are_written_as_client_go_writes_them(cluster: FakeKubernetes) -> None:
    steady, wall = Time(), Time()
    a, b = lease(cluster, "a", steady, wall), lease(cluster, "b", steady, wall)
    a.step()
    first = spec(cluster)
    assert first["acquireTime"] == first["renewTime"]
    for _ in range(3):
        steady.now += 2
        wall.now += 2
        a.step()
        assert spec(cluster)["acquireTime"] == first["acquireTime"]
    assert spec(cluster)["renewTime"] > first["renewTime"]
    assert spec(cluster)["leaseTransitions"] == 0
    b.step()
    a.resign()
    released = spec(cluster)
    assert (released["holderIdentity"], released["leaseDurationSeconds"], released["leaseTransitions"]) == ("", 1, 0)
    wall.now += 2
    b.step()
    second = spec(cluster)
    assert (second["holderIdentity"], second["leaseTransitions"]) == ("b", 1)
    assert second["acquireTime"] == second["renewTime"] > first["acquireTime"]
    wall.now += 2
    b.step()
    assert (spec(cluster)["acquireTime"], spec(cluster)["leaseTransitions"]) == (second["acquireTime"], 1)


def test_an_acquisition_at_a_whole_second_by_another_client_can_be_kept(cluster: FakeKubernetes) -> None:
    a = lease(cluster, "a", Time())
    a.step()
    spec_there = cluster.leases["kubeflow/pix2pix-trigger"]["spec"]
    spec_there["acquireTime"] = "2026-01-02T03:04:05.000000Z"
    cluster.leases["kubeflow/pix2pix-trigger"]["metadata"]["resourceVersion"] = "another"
    assert a.step()
    assert spec(cluster)["acquireTime"].startswith("2026-01-02T03:04:05.")


def test_a_request_that_hangs_ends_in_time(cluster: FakeKubernetes) -> None:
    held_lease = lease(cluster, "a", Time(), settings=replace(SETTINGS, retry=0.1))
    cluster.faults = lambda method: "hang"
    assert not held_lease.step()


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_resigning_stops_at_once_and_returns_though_the_api_hangs(cluster: FakeKubernetes, method: str) -> None:
    held_lease = lease(cluster, "a", Time())
    held_lease.step()
    cluster.faults = lambda request: "hang" if request == method else None
    held_lease.resign()
    assert not held_lease.is_leader()
    assert not held_lease.step()


def test_a_step_that_hung_while_the_lease_was_released_does_not_take_it_again(cluster: FakeKubernetes) -> None:
    held_lease = lease(cluster, "a", Time())
    held_lease.step()
    hangs, goes_on = threading.Event(), threading.Event()

    def hold(method: str) -> None:
        if not hangs.is_set():
            hangs.set()
            goes_on.wait(60)

    cluster.faults = hold  # the first request from now on, a step's read
    stepping = threading.Thread(target=held_lease.step)
    stepping.start()
    assert hangs.wait(60)
    held_lease.resign()
    assert holder(cluster) == ""
    goes_on.set()
    stepping.join()
    assert holder(cluster) == ""
    assert not held_lease.is_leader()


def test_a_renewal_that_lands_during_the_release_does_not_keep_the_lead(cluster: FakeKubernetes) -> None:
    held_lease = lease(cluster, "a", Time())
    held_lease.step()
    rival = lease(cluster, "a", Time())
    landed: list[bool] = []

    def renew_between(method: str) -> None:
        if method == "PUT" and not landed:
            landed.append(True)
            rival.step()

    cluster.faults = renew_between
    held_lease.resign()
    assert landed
    assert holder(cluster) == ""


def test_the_lock_file_is_kept_after_resigning_until_it_is_released(tmp_path: Path) -> None:
    a, b = LockFile(tmp_path / "lock"), LockFile(tmp_path / "lock")
    assert a.is_leader()
    a.resign()
    assert not a.is_leader()
    assert not b.is_leader()
    a.release()
    assert b.is_leader()
    b.release()


def test_of_two_that_take_an_expired_lease_at_once_one_gets_it(cluster: FakeKubernetes) -> None:
    time = Time()
    lease(cluster, "dead", time).step()
    rivals = [lease(cluster, name, time) for name in "bcdefgh"]
    for rival in rivals:
        rival.step()
    time.now += 15
    threads = [threading.Thread(target=rival.step) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(rival.is_leader() for rival in rivals) == 1
    assert [rival for rival in rivals if rival.is_leader()][0]._identity == holder(cluster)  # noqa: RUF015


def test_of_two_that_create_the_lease_at_once_one_gets_it(cluster: FakeKubernetes) -> None:
    rivals = [lease(cluster, name, Time()) for name in "abcdef"]
    threads = [threading.Thread(target=rival.step) for rival in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(rival.is_leader() for rival in rivals) == 1


def test_a_write_on_an_old_version_is_refused_and_gives_no_lead(cluster: FakeKubernetes) -> None:
    time = Time()
    a, b = lease(cluster, "a", time), lease(cluster, "b", time)
    a.step()
    b.step()
    time.now += 15
    stale = b._seen
    assert a.step()
    assert stale is not None
    assert not b._accepted(lambda: b._take_or_renew(stale))
    assert holder(cluster) == "a"


@pytest.mark.parametrize("fault", ["500", "503", "429", "after"])
def test_an_api_that_fails_costs_the_lead_only_when_it_lasts(cluster: FakeKubernetes, fault: str) -> None:
    time = Time()
    a = lease(cluster, "a", time)
    a.step()
    cluster.faults = lambda method: fault
    time.now += 2
    assert not a.step()
    assert a.is_leader()
    time.now += 8
    assert not a.step()
    assert not a.is_leader()
    cluster.faults = lambda method: None
    assert a.step()


def test_a_lead_that_is_given_up_is_taken_at_once(cluster: FakeKubernetes) -> None:
    time = Time()
    a, b = lease(cluster, "a", time), lease(cluster, "b", time)
    a.step()
    assert not b.step()
    a.release()
    assert not a.is_leader()
    assert b.step()


def test_a_zero_fraction_of_a_second_is_still_a_micro_time(cluster: FakeKubernetes) -> None:
    assert lease(cluster, "a", Time(), wall=1_700_000_000.0).step()


def test_a_thread_renews_the_lead(cluster: FakeKubernetes) -> None:
    time = Time()
    held_lease = lease(cluster, "a", time)
    held_lease._settings = replace(SETTINGS, retry=0.2)
    renewed = threading.Event()

    def count(method: str) -> None:
        if cluster.writes >= 3:
            renewed.set()

    cluster.faults = count
    held_lease.begin()
    assert renewed.wait(20)
    held_lease.release()
    assert holder(cluster) == ""


HOLD = """
import sys
from pathlib import Path
from typing import Any
from workflows.daemon.lease import LockFile
lock = LockFile(Path(sys.argv[1]))
assert lock.is_leader()
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_of_this_machine_is_held_only_by_a_live_process(tmp_path: Path) -> None:
    path = tmp_path / "store" / "trigger.lock"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        mine = LockFile(path)
        assert not mine.is_leader()
        assert mine.holder() == f"process {other.pid}"
        other.kill()
        other.wait()
        assert mine.is_leader()
        assert mine.is_leader()
        mine.release()
        last = LockFile(path)
        assert last.is_leader()
        last.release()


def test_a_lock_file_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunInputError, match="cannot be created"):
        LockFile(tmp_path / "file" / "lock").is_leader()


def test_a_lease_that_an_administrator_created_empty_is_taken(cluster: FakeKubernetes) -> None:
    cluster.leases["kubeflow/pix2pix-trigger"] = {
        "metadata": {"name": "pix2pix-trigger", "namespace": "kubeflow", "resourceVersion": "7"}
    }
    assert lease(cluster, "a", Time()).step()
    assert holder(cluster) == "a"


def test_a_written_lease_never_expires_before_the_leader_stops(cluster: FakeKubernetes) -> None:
    settings = replace(SETTINGS, seconds=2.4, renew_within=2.3, retry=0.5)
    time = Time()
    a, b = (lease(cluster, name, time, settings=settings) for name in "ab")
    assert a.step()
    assert not b.step()
    time.now += 2.2
    assert a.is_leader()
    assert not b.step()
