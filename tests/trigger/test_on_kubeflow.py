"""The trigger on Kubeflow: exactly one finished output per commit set, whatever the API answers."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import TriggerHarness, configuration
from fake_kubeflow import FAULTS, Document, FakeKubeflow
from filling_stage import Died, fill

from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import GENERATE_IMAGES, PIPELINES, TRAINING
from workflows.daemon.lease import NoElection
from workflows.errors import RunnerUnreachableError
from workflows.runners import kubeflow
from workflows.runners.kubeflow import KubeflowRunner
from workflows.runners.kubeflow_api import Access, Api
from workflows.trigger.controller import Controller, Outcome, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.snapshot_builder import Clock


class Time:
    """A clock that moves when it is waited on, and a little whenever it is read."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 0.001
        return self.now

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return False


class Cluster:
    """A Kubeflow whose workflows fill commits one after the other, in a thread."""

    def __init__(self, client: Connection, orders: Path) -> None:
        self._client, self._orders = client.another(), orders
        self.orders: list[Document] = []
        self._lock = threading.Lock()
        self.api = FakeKubeflow(self.orders.append)

    def work(self) -> None:
        """Execute the started workflows, in the order of their starts."""
        with self._lock:
            while self.orders:
                run = self.orders.pop(0)
                if self.api.runs[run["run_id"]]["state"] == "CANCELING":
                    self.api.advance(run["run_id"], "FAILED")
                    continue
                self.api.advance(run["run_id"], "RUNNING")
                pipeline, commit_set, _ = run["display_name"].split()
                outputs = next(entry.outputs for entry in PIPELINES if entry.name == pipeline)
                try:
                    for branch in outputs:
                        fill(self._client, branch.repo, commit_set, run["run_id"], self._orders)
                except (RuntimeError, Died) as error:
                    self.api.advance(run["run_id"], "FAILED", f"{type(error).__name__}: {error}")
                else:
                    self.api.advance(run["run_id"], "SUCCEEDED")

    @contextmanager
    def controller(self, harness: TriggerHarness, filling: dict[str, Path], by: str = "a:1") -> Iterator[Drive]:
        time = Time()
        api = Api(Access(endpoint=self.api.url, timeout=2.0), time.pause)  # type: ignore[arg-type]
        runner = KubeflowRunner(api, pipelines=filling, steady=time)
        settings = Settings(configuration().policy, 10, 2.0, by)
        metrics = Metrics(time, time)
        clock = Clock(time, time)
        yield Drive(
            self,
            Controller(
                harness.client, runner, NoElection(), settings, clock, time.pause, metrics, harness.messages.append
            ),
            time,
        )


class Drive:
    """A controller that is polled step by step."""

    def __init__(self, cluster: Cluster, controller: Controller, time: Time) -> None:
        self.cluster, self.controller, self.time = cluster, controller, time
        self.away = 0

    def until_nothing_is_open(self, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Outcome]:
        for _ in range(400):
            meanwhile()
            try:
                harness, _, done = self.controller.poll()
            except RunnerUnreachableError:
                self.away += 1
                self.time.pause(5.0)
                continue
            if not harness.commits:
                return {entry.commit_set: entry for entry in self.controller.outcomes}
            if not done:
                self.cluster.work()
                self.time.pause(5.0)
        raise AssertionError("it did not come to an end")


@pytest.fixture
def cluster(harness: TriggerHarness) -> Iterator[Cluster]:
    cluster = Cluster(harness.client, harness.orders)
    with cluster.api:
        yield cluster


def test_commits_are_run_and_decisions_link_to_the_ui(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path]
) -> None:
    commit_set = harness.train()
    with cluster.controller(harness, filling) as drive:
        done = drive.until_nothing_is_open()
    assert done[commit_set].state == "good"
    assert [run["display_name"] for run in cluster.api.workflows] == [f"training_and_export {commit_set} 1"]
    assert done[commit_set].run == cluster.api.workflows[0]["run_id"]


def test_a_run_that_a_person_terminates_ends_the_set_as_cancelled(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path]
) -> None:
    commit_set = harness.train()
    with cluster.controller(harness, filling) as drive:
        drive.controller.poll()
        (run,) = cluster.api.runs
        cluster.api.advance(run, "CANCELING")
        done = drive.until_nothing_is_open()
    assert done[commit_set].state == "cancelled"
    assert f"run {run} was terminated" in done[commit_set].error
    assert len(cluster.api.workflows) == 1


def test_a_run_that_was_deleted_is_replaced_by_the_next_attempt(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path]
) -> None:
    commit_set = harness.train()
    with cluster.controller(harness, filling) as drive:
        drive.controller.poll()
        (run,) = cluster.api.runs
        cluster.orders.clear()
        cluster.api.delete(run)
        done = drive.until_nothing_is_open()
    assert done[commit_set].state == "good"
    assert [run["display_name"][-1] for run in cluster.api.workflows] == ["1", "2"]


def test_a_trigger_that_is_restarted_creates_nothing_twice(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path]
) -> None:
    harness.train()
    for number in range(3):
        with cluster.controller(harness, filling, by=f"a:{number}") as drive:
            drive.controller.poll()
    with cluster.controller(harness, filling, by="a:9") as drive:
        drive.until_nothing_is_open()
    assert len(cluster.api.workflows) == 1


def test_a_run_whose_commits_were_dropped_is_terminated(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path]
) -> None:
    from pachyderm_sdk.api import pfs

    commit_set = harness.train()
    with cluster.controller(harness, filling) as drive:
        drive.controller.poll()
        harness.client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit_set))
        drive.controller.poll()
        drive.time.now += 200
        drive.controller.poll()
    (run,) = cluster.api.runs.values()
    assert run["state"] == "CANCELING"


def test_two_creators_at_once_have_one_effect_and_the_second_workflow_is_terminated(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_set = harness.train()
    original = KubeflowRunner.find
    # The search finds nothing, as when two creators search before either creates.
    blind = [True]
    monkeypatch.setattr(KubeflowRunner, "find", lambda self, key: () if blind[0] else original(self, key))
    with cluster.controller(harness, filling, "a:1") as a, cluster.controller(harness, filling, "b:1") as b:
        key = kubeflow.RunKey("training_and_export", commit_set, 1)
        for drive in (a, b):
            drive.controller._runner.start(key, {"commit_set": commit_set})
        blind[0] = False
        a.controller.poll()
        done = a.until_nothing_is_open()
    assert done[commit_set].state == "good"
    assert len(cluster.api.workflows) == 2
    assert sorted(run["state"] for run in cluster.api.runs.values()) == ["FAILED", "SUCCEEDED"]


def faults(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path], injections: int, seed: int
) -> Counter[str]:
    """Commit and run until that many faults were injected; then check each commit set."""
    chance = random.Random(seed)
    left = [injections]

    def fault(method: str, path: str) -> str | None:
        if left[0] <= 0 or path.endswith("healthz") or chance.random() > 0.35:
            return None
        left[0] -= 1
        kinds = [entry for entry in FAULTS if entry != "hang" or left[0] % 20 == 0]
        return chance.choice(kinds)

    cluster.api.faults = fault
    sets: dict[str, str] = {}
    with cluster.controller(harness, filling) as drive:
        while left[0] > 0:
            for _ in range(4):
                training = chance.random() < 0.5
                content = str(len(sets))
                sets[harness.train(content) if training else harness.draw(content)] = (
                    "model" if training else "generate_images"
                )
                drive.controller.poll() if left[0] < 0 else None
            done = drive.until_nothing_is_open()
            assert {done[entry].state for entry in sets if entry in done} <= {"good", "superseded"}
    for commit_set, repo in sets.items():
        commit = inspect(harness.client, repo, commit_set)
        if commit.state == "superseded":
            continue
        assert commit.state == "good"
        # One line: two fillers that interleaved would leave two.
        assert harness.by(repo, commit_set) in cluster.api.runs
    assert inspect(harness.client, "model", harness.head(TRAINING).id).state == "good"
    assert harness.head(GENERATE_IMAGES).state == "good"
    return Counter(cluster.api.injected)


def test_fifty_faults_of_the_api_leave_one_finished_output_per_set(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path]
) -> None:
    seen = faults(harness, cluster, filling, 50, seed=7)
    assert sum(seen.values()) == 50
    assert len(seen) >= 6
    # No workflow beyond one per attempt: there is a single creator.
    names = Counter(run["display_name"] for run in cluster.api.workflows)
    assert max(names.values()) == 1


@pytest.mark.long
def test_a_thousand_faults_of_the_api_leave_one_finished_output_per_set(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path], volume: Callable[[int, int], int]
) -> None:
    number = volume(1000, 100)
    seen = faults(harness, cluster, filling, number, seed=11)
    assert sum(seen.values()) == number
    assert set(seen) == set(FAULTS) or number < 1000
    names = Counter(run["display_name"] for run in cluster.api.workflows)
    assert max(names.values()) == 1


def test_parameters_that_the_pipeline_lacks_end_the_set_at_once(
    harness: TriggerHarness, cluster: Cluster, filling: dict[str, Path]
) -> None:
    commit_set = harness.train()
    broken = {**filling, "training_and_export": filling["training_and_export"].with_name("gone.yaml")}
    with cluster.controller(harness, broken) as drive:
        done = drive.until_nothing_is_open()
    assert done[commit_set].state == "failed"
    assert "cannot be started: the compiled pipeline" in done[commit_set].error
    assert cluster.api.workflows == []
