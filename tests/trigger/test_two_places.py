"""Two triggers on one Pachyderm that cannot see each other's runs: at most wasted starts, never a lost result.

With PACHD_ADDRESS set it runs against the server there, as all tests over a `TriggerHarness` do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TriggerHarness, configuration
from filling_stage import fill

from pachyderm.client.connection import Connection
from pachyderm.dag.repos import PIPELINES
from pachyderm.queue.claims import claims_of, end_of, give_back, take
from pachyderm.queue.decisions import decisions_of
from workflows.daemon.lease import NoElection
from workflows.runners.runner import Phase, RunKey, RunState
from workflows.trigger.controller import Controller, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.reconcile import STARTS_WITHIN
from workflows.trigger.snapshot_builder import Clock


class SlowRunner:
    """A runner with its own location, whose runs do nothing until the test lets them work."""

    name = "slow"
    atomic_start = True

    def __init__(self, client: Connection, orders: Path, where: str) -> None:
        self._client, self._orders, self._where = client, orders, where
        self.states: dict[RunKey, RunState] = {}

    def location(self) -> str:
        return self._where

    def start(self, key: RunKey, arguments: Mapping[str, str]) -> RunState:
        run = f"{self._where}-{key.pipeline}-{key.commit_set}-{key.attempt}"
        return self.states.setdefault(key, RunState(run, key, Phase.RUNNING, started=time.time()))

    def work(self) -> None:
        """Let every live run do its work and end."""
        for key, state in self.states.items():
            if state.over:
                continue
            outputs = next(pipeline.outputs for pipeline in PIPELINES if pipeline.name == key.pipeline)
            for branch in outputs:
                fill(self._client, branch.repo, key.commit_set, state.run, self._orders)
            self.states[key] = replace(state, phase=Phase.SUCCEEDED, ended=time.time())

    def find(self, key: RunKey) -> tuple[RunState, ...]:
        return (self.states[key],) if key in self.states else ()

    def state(self, run: str) -> RunState | None:
        return next((state for state in self.states.values() if state.run == run), None)

    def live(self) -> tuple[RunState, ...]:
        return tuple(state for state in self.states.values() if not state.over)

    def terminate(self, run: str, why: str) -> None:
        raise AssertionError("neither trigger may end a run here")

    def poll(self) -> bool:
        return False

    def close(self) -> tuple[RunState, ...]:
        return ()


class Pair:
    """Two triggers in two folders, with one clock."""

    def __init__(self, harness: TriggerHarness) -> None:
        self.now = 1000.0
        self.pauses: list[Callable[[], None]] = []
        self.runners = [SlowRunner(harness.client, harness.orders, where) for where in ("host-a:/a", "host-b:/b")]
        self.triggers = [self._trigger(harness, runner) for runner in self.runners]

    def _trigger(self, harness: TriggerHarness, runner: SlowRunner) -> Controller:
        clock = Clock(lambda: self.now, time.time)
        settings = Settings(configuration().policy, 10, 2.0, f"{runner.location()}:1")
        metrics = Metrics(clock.steady, clock.wall)
        return Controller(
            harness.client, runner, NoElection(), settings, clock, self._pause, metrics, harness.messages.append
        )

    def _pause(self, seconds: float) -> bool:
        self.now += seconds
        if self.pauses:
            self.pauses.pop(0)()
        return True

    def poll(self, which: int, seconds: float = 0.0) -> bool:
        """Let time pass and poll one trigger until it has no effect; return whether anything is open."""
        self.now += seconds
        for _ in range(20):
            harness, _, done = self.triggers[which].poll()
            if not done:
                return bool(harness.commits)
        raise AssertionError("a hot loop")

    def started(self) -> int:
        return sum(len(runner.states) for runner in self.runners)


@pytest.fixture
def pair(harness: TriggerHarness) -> Pair:
    return Pair(harness)


def test_a_run_that_takes_minutes_to_start_is_started_once_and_is_good(harness: TriggerHarness, pair: Pair) -> None:
    commit_set = harness.train()
    for _ in range(20):
        pair.poll(0, STARTS_WITHIN / 25)
        pair.poll(1)
    assert pair.started() == 1
    pair.runners[0].work()
    assert not pair.poll(1)
    assert not pair.poll(0)
    assert harness.output("model", commit_set).state == "good"
    assert decisions_of(harness.output("model", commit_set).metadata)[0].where == "host-a:/a"


def test_a_trigger_reports_that_it_waits_for_a_run_at_another_location(harness: TriggerHarness, pair: Pair) -> None:
    commit_set = harness.train()
    pair.poll(0)
    pair.pauses = [lambda: None, pair.runners[0].work]
    (done,) = pair.triggers[1].once()
    assert (done.commit_set, done.state) == (commit_set, "good")
    assert harness.messages == [
        f"training_and_export {commit_set} waits: attempt 1, which host-a:/a:1 started in host-a:/a, may be starting"
    ]


def test_a_run_that_takes_longer_costs_a_second_start_and_one_of_them_has_the_effect(
    harness: TriggerHarness, pair: Pair
) -> None:
    commit_set = harness.train()
    for _ in range(12):
        pair.poll(0, STARTS_WITHIN / 2)
        pair.poll(1)
    assert pair.started() == 2
    pair.runners[1].work()
    pair.runners[0].work()
    assert not pair.poll(0)
    assert not pair.poll(1)
    for repo in ("checkpoint", "model"):
        assert harness.output(repo, commit_set).state == "good"
        assert len(harness.by(repo, commit_set).split()) == 1


def test_a_lost_location_is_taken_over_without_a_failure(harness: TriggerHarness, pair: Pair) -> None:
    commit_set = harness.train()
    pair.poll(0)
    (state,) = pair.runners[0].live()
    assert take(harness.client, harness.output("checkpoint", commit_set), state.run, "a") is not None
    # Neither the trigger at the first location nor its run ever comes back.
    pair.poll(1)
    pair.poll(1, STARTS_WITHIN - 1)
    assert pair.started() == 1
    pair.poll(1, 2)
    pair.runners[1].work()
    assert not pair.poll(1)
    assert harness.output("model", commit_set).state == "good"
    words = [decision.decision for decision in decisions_of(harness.output("model", commit_set).metadata)]
    assert words == ["start", "started", "interrupted", "start", "started"]


def test_an_error_reported_at_the_other_location_is_a_failure_and_is_quoted(
    harness: TriggerHarness, pair: Pair
) -> None:
    commit_set = harness.train()
    pair.poll(0)
    (state,) = pair.runners[0].live()
    claim = take(harness.client, harness.output("checkpoint", commit_set), state.run, "a")
    assert claim is not None
    give_back(
        harness.client, harness.output("checkpoint", commit_set), claim.number, end_of(ValueError("no such label"))
    )
    pair.poll(1)
    pair.poll(1, STARTS_WITHIN + 1)
    decisions = decisions_of(harness.output("model", commit_set).metadata)
    (failed,) = [decision for decision in decisions if decision.decision == "failed"]
    assert failed.reason == f"checkpoint@{commit_set}: ValueError: no such label"
    assert claims_of(harness.output("checkpoint", commit_set).metadata)[0].reported == "ValueError: no such label"
