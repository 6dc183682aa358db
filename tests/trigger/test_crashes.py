"""Triggers that are killed, paused or duplicated: every commit gets its run, with a single effect."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TriggerHarness
from fake_kubernetes import FakeKubernetes
from test_on_kubeflow import Cluster

from pachyderm.client.commits import history
from pachyderm.client.connection import connect
from pachyderm.dag.repos import INPUT_IMAGES
from pachyderm.fsck.check import fsck
from pachyderm.queue.claims import claims_of
from pachyderm.store.maintenance.fsck import check
from workflows.daemon.lease import NoElection
from workflows.settings.policy import defaults
from workflows.trigger.controller import Controller, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.snapshot_builder import Clock


def trigger(harness: TriggerHarness, filling: dict[str, Path], **more: str) -> subprocess.Popen[bytes]:
    pipelines = {
        "preprocessing_and_generation": str(filling["quick"]),
        "training_and_export": str(filling["training_and_export"]),
    }
    address = {"store": str(harness.target.store), "pachd": harness.target.pachd, "project": harness.target.project}
    order = json.dumps({**address, "pipelines": pipelines, **more})
    return subprocess.Popen([sys.executable, str(Path(__file__).parent / "trigger_process.py"), order])


def until(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def one_effect_each(harness: TriggerHarness, sets: list[str]) -> None:
    for commit_set in sets:
        for repo in ("preprocess_images", "generate_images"):
            commit = harness.output(repo, commit_set)
            assert commit.state == "good", (str(commit), commit.error)
            # Two fillers that interleaved would leave two lines.
            assert len(harness.by(repo, commit_set).split()) == 1
            # An earlier claim may have ended as good, too: its process was killed between fence and finish.
            assert [claim.over for claim in claims_of(commit.metadata)][-1] == "good"


def closed(harness: TriggerHarness, commit_set: str) -> bool:
    return harness.output("generate_images", commit_set).state not in ("open", "finishing")


def killed_at_random(
    harness: TriggerHarness,
    filling: dict[str, Path],
    commits: int,
    kills: int,
    seed: int,
    limit: float,
    with_runs: float = 0.3,
) -> None:
    """Kill the trigger again and again while commits arrive; `with_runs` is the share of kills that include runs."""
    chance = random.Random(seed)
    sets: list[str] = []

    def write() -> None:
        with connect(harness.target) as client:
            writer = TriggerHarness(harness.target, client, harness.context, harness.orders, [])
            while len(sets) < commits:
                sets.append(writer.draw(f"unique {len(sets)}"))
                # No faster than they are processed: a longer queue tests nothing more.
                while sum(not closed(writer, commit_set) for commit_set in sets[-8:]) >= 6:
                    time.sleep(0.2)

    writer = threading.Thread(target=write)
    writer.start()
    process = trigger(harness, filling)
    over: set[str] = set()

    def ended() -> int:
        over.update(commit_set for commit_set in sets if commit_set not in over and closed(harness, commit_set))
        return len(over)

    for kill in range(kills):
        if kill % 25 == 24:
            print(f"kills: {kill}, commits: {len(sets)}, ended: {ended()}", flush=True)  # noqa: T201
        if chance.random() < 0.5:
            # Half of the processes live long enough to complete a run, however slow this machine is.
            before = ended()
            until(lambda before=before: ended() > before or before == commits, 240)
        try:
            process.wait(chance.uniform(0.5, 5.0))
        except subprocess.TimeoutExpired:
            if chance.random() < with_runs:
                # Kill processes of a run at the same moment, too.
                processes = harness.processes()
                for victim in chance.sample(processes, min(chance.randint(1, 3), len(processes))):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(victim, signal.SIGKILL)
        process.kill()
        process.wait()
        process = trigger(harness, filling)
    try:
        until(lambda: len(sets) == commits and all(closed(harness, commit_set) for commit_set in sets), limit)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        writer.join(20)
    one_effect_each(harness, sets)
    until(lambda: not harness.processes(), 10)
    assert {commit.id for commit in history(harness.client, INPUT_IMAGES) if commit.parent} == set(sets)
    # These tasks write no record; any other finding of fsck was caused by the kills.
    assert {problem.code for problem in fsck(harness.client, now=time.time()).problems} == {"NO_RECORD"}
    if harness.target.pachd is None:
        assert check(harness.target.store) == []


def test_a_trigger_that_is_killed_at_random_loses_and_duplicates_nothing(
    harness: TriggerHarness, filling: dict[str, Path]
) -> None:
    killed_at_random(harness, filling, commits=6, kills=4, seed=3, limit=120)


def test_a_trigger_that_is_killed_with_its_runs_ends_nothing_as_failed(
    harness: TriggerHarness, filling: dict[str, Path]
) -> None:
    killed_at_random(harness, filling, commits=3, kills=3, seed=9, limit=120, with_runs=1.0)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_kills_of_trigger_and_runs_together_end_nothing_as_failed(
    harness: TriggerHarness, filling: dict[str, Path], volume: Callable[[int, int], int]
) -> None:
    killed_at_random(harness, filling, commits=volume(40, 4), kills=volume(50, 5), seed=13, limit=1200, with_runs=1.0)


@pytest.mark.long
@pytest.mark.timeout(14400)
@pytest.mark.parametrize(("commits", "kills"), [(200, 100), (2000, 1000)])
def test_hundreds_of_kills_while_commits_arrive_lose_and_duplicate_nothing(
    harness: TriggerHarness, filling: dict[str, Path], commits: int, kills: int, volume: Callable[[int, int], int]
) -> None:
    killed_at_random(harness, filling, volume(commits, 5), volume(kills, 5), seed=5, limit=6000)


def test_an_interrupted_trigger_ends_its_runs_and_the_next_continues_the_work_at_once(
    harness: TriggerHarness, filling: dict[str, Path]
) -> None:
    harness.order("wait")
    commit_set = harness.draw()
    process = trigger(harness, filling)
    until(lambda: claims_of(harness.output("preprocess_images", commit_set).metadata), 60)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    assert not harness.processes()
    (claim,) = claims_of(harness.output("preprocess_images", commit_set).metadata)
    assert claim.over == f"run {claim.holder} is over: interrupted"
    (harness.orders / "wait").unlink()
    process = trigger(harness, filling)
    until(lambda: closed(harness, commit_set), 60)
    process.send_signal(signal.SIGTERM)
    process.wait(20)
    one_effect_each(harness, [commit_set])


def paused_leader(harness: TriggerHarness, filling: dict[str, Path], rounds: int) -> int:
    """Repeatedly pause the leader for longer than its lease; return the workflows that were started twice."""
    cluster = Cluster(harness.client, harness.orders)
    sets: list[str] = []
    with cluster.api, FakeKubernetes() as kubernetes:
        addresses = {"kubeflow": cluster.api.url, "kubernetes": kubernetes.url}
        triggers = {}
        for name in "ab":
            process = trigger(harness, filling, name=name, **addresses)
            triggers[f"{name}:{process.pid}"] = process

        def leader() -> str:
            return str(kubernetes.leases.get("kubeflow/pix2pix-trigger", {}).get("spec", {}).get("holderIdentity", ""))

        try:
            until(leader, 60)
            for _ in range(rounds):
                sets.append(harness.draw(str(len(sets))))
                paused = leader()
                triggers[paused].send_signal(signal.SIGSTOP)
                sets.append(harness.draw(str(len(sets))))
                until(lambda paused=paused: leader() not in ("", paused), 30)
                until(lambda: cluster.work() or all(closed(harness, commit_set) for commit_set in sets), 60)
                triggers[paused].send_signal(signal.SIGCONT)
                sets.append(harness.draw(str(len(sets))))
                until(lambda: cluster.work() or all(closed(harness, commit_set) for commit_set in sets), 60)
        finally:
            for process in triggers.values():
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
                process.wait(20)
    one_effect_each(harness, sets)
    return len(cluster.api.workflows) - len({run["display_name"] for run in cluster.api.workflows})


def test_a_leader_that_was_paused_has_no_double_effect(harness: TriggerHarness, filling: dict[str, Path]) -> None:
    assert paused_leader(harness, filling, rounds=2) <= 2


@pytest.mark.long
def test_two_hundred_paused_leaders_have_no_double_effect(
    harness: TriggerHarness, filling: dict[str, Path], volume: Callable[[int, int], int]
) -> None:
    rounds = volume(200, 4)
    assert paused_leader(harness, filling, rounds) <= rounds


def two_triggers(harness: TriggerHarness, filling: dict[str, Path], commits: int) -> tuple[int, int]:
    """Run two triggers without a lease; return the numbers of commit sets and of workflows."""
    cluster = Cluster(harness.client, harness.orders)
    sets = [harness.draw(str(number)) for number in range(commits)]
    together = threading.Barrier(2)

    def run(name: str) -> None:
        from workflows.runners.kubeflow import KubeflowRunner
        from workflows.runners.kubeflow_api import Access, Api

        with connect(harness.target) as client:
            runner = KubeflowRunner(Api(Access(endpoint=cluster.api.url, timeout=5.0), time.sleep), pipelines=filling)
            clock = Clock(time.monotonic, time.time)
            settings = Settings(defaults(), 10, 0.1, name)
            controller = Controller(
                client, runner, NoElection(), settings, clock, lambda s: False, Metrics(*(time.monotonic,) * 2)
            )
            together.wait(30)
            while not all(
                closed(TriggerHarness(harness.target, client, harness.context, harness.orders, []), commit_set)
                for commit_set in sets
            ):
                controller.poll()
                cluster.work()

    with cluster.api:
        threads = [threading.Thread(target=run, args=(name,)) for name in ("a:1", "b:1")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    one_effect_each(harness, sets)
    names = Counter(run["display_name"].rsplit(" ", 1)[0] for run in cluster.api.workflows)
    assert set(names) == {f"preprocessing_and_generation {commit_set}" for commit_set in sets}
    return len(sets), len(cluster.api.workflows)


def test_two_triggers_without_a_lease_have_no_double_effect(harness: TriggerHarness, filling: dict[str, Path]) -> None:
    sets, workflows = two_triggers(harness, filling, commits=4)
    assert sets <= workflows <= 2 * sets
