"""Random histories of people, runs, clocks and two triggers, under which every guarantee holds.

Commits, transactions, head moves, promotions, drops; runs that work, fail, hang, vanish, appear late or twice;
triggers that restart, and that see the same runs or only their own; clocks that jump. Invariants: a single effect per
commit, order, bounded retries, nothing ends as failed that was only killed, no hot loop, and, once the faults stop,
every newest commit is processed or ended with a reason.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fake_pachyderm import FakePachyderm, Row
from fake_runner import FakeRunner
from hypothesis import HealthCheck, settings
from hypothesis import Phase as HypothesisPhase
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pachyderm.dag.repos import CANDIDATE, INPUT_IMAGES, PIPELINES, PROVENANCE, TRAINING, pipeline_of
from pachyderm.queue.decisions import decisions_of
from workflows.daemon.lease import NoElection
from workflows.errors import RunnerUnreachableError
from workflows.runners.runner import Phase, RunKey
from workflows.settings.policy import defaults
from workflows.trigger.attempts import INTERRUPTIONS
from workflows.trigger.controller import Controller, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.snapshot_builder import Clock
from workflows.trigger.work_items import ENDINGS

ATTEMPTS = 3


class Trigger:
    """A controller on the fakes; a restart forgets what it remembered."""

    def __init__(self, machine: Histories, name: str, runner: FakeRunner) -> None:
        clock = Clock(lambda: machine.steady, lambda: machine.wall)
        configured = Settings(machine.policies, max_concurrent_runs=3, poll_interval=2.0, by=name)
        metrics = Metrics(clock.steady, clock.wall)
        self.controller = Controller(
            machine.pachyderm, runner, NoElection(), configured, clock, lambda seconds: False, metrics
        )

    def poll(self) -> int:
        try:
            return len(self.controller.poll()[2])
        except RunnerUnreachableError:
            return 0


class Histories(RuleBasedStateMachine):
    @initialize(
        atomic_start=st.booleans(),
        says_ending=st.booleans(),
        order=st.integers(0, 2**16),
        latest=st.booleans(),
        apart=st.booleans(),
    )
    def begin(self, atomic_start: bool, says_ending: bool, order: int, latest: bool, apart: bool) -> None:
        self.steady = 1000.0
        self.wall = 1_700_000_000.0
        self.pachyderm = FakePachyderm(lambda: self.wall)
        self.pachyderm.order.seed(order)
        self.policies = {
            name: replace(policy, policy="latest") if latest else policy for name, policy in defaults().items()
        }
        self.dropped: set[str] = set()
        places = ("host-a", "host-b") if apart else ("here",)
        self.runners = [FakeRunner(self.pachyderm, lambda: self.wall, atomic_start, where) for where in places]
        for runner in self.runners:
            runner.at_start = self.check_ready
            runner.says_ending = says_ending
        self.restarts = 0
        self.triggers = [Trigger(self, "a:1", self.runners[0]), Trigger(self, "b:1", self.runners[-1])]
        self.faults: Counter[RunKey] = Counter()

    def check_ready(self, key: RunKey) -> None:
        """Whoever starts a run, everything older must be closed and its inputs finished."""
        outputs = next(pipeline.outputs for pipeline in PIPELINES if pipeline.name == key.pipeline)
        for branch in outputs:
            row = self.pachyderm.rows.get((branch.repo, key.commit_set))
            if row is None or not row.open:
                continue
            for older in self.pachyderm.older_than(row):
                assert not older.open, f"{key} is started before the older {older.key} has ended"
            for needed in row.provenance:
                assert needed[1] == key.commit_set or self.pachyderm.rows[needed].finished

    def live(self) -> list[tuple[FakeRunner, str]]:
        pairs = [(runner, state.run) for runner in self.runners for state in runner.live()]
        return sorted(pairs, key=lambda pair: pair[1])

    def pick(self, number: int) -> tuple[FakeRunner, str]:
        return self.live()[number % len(self.live())]

    def fault(self, runner: FakeRunner, run: str) -> None:
        """Record that a run reports its own error."""
        key = runner.runs[run].state.key
        assert key is not None
        self.faults[RunKey(key.pipeline, key.commit_set, 1)] += 1

    # Actions of people.
    @rule(both=st.booleans(), training=st.booleans())
    def commit(self, both: bool, training: bool) -> None:
        self.pachyderm.put(*((TRAINING, INPUT_IMAGES) if both else (TRAINING,) if training else (INPUT_IMAGES,)))

    @rule(training=st.booleans(), own=st.booleans())
    def run_again(self, training: bool, own: bool) -> None:
        self.pachyderm.put(TRAINING if training else INPUT_IMAGES, move_only=True, own=own)

    @rule(back=st.integers(0, 5))
    def promote(self, back: int) -> None:
        good = [row for row in self.pachyderm.chain(CANDIDATE) if row.finished and not row.error]
        self.pachyderm.promote(good[back % len(good)].key)

    @rule(back=st.integers(0, 3))
    def drop(self, back: int) -> None:
        ids = list(dict.fromkeys(row.id for row in sorted(self.pachyderm.rows.values(), key=lambda row: -row.number)))
        if self.pachyderm.drop(ids[back % len(ids)]):
            self.dropped.add(ids[back % len(ids)])

    # Events of runs.
    @precondition(lambda self: self.live())
    @rule(number=st.integers(0, 9), steps=st.integers(1, 6))
    def work(self, number: int, steps: int) -> None:
        runner, run = self.pick(number)
        for _ in range(steps):
            if not runner.runs[run].state.over:
                runner.advance(run)
                self.pachyderm.check()

    @precondition(lambda self: self.live())
    @rule(number=st.integers(0, 9), gives_back=st.booleans())
    def fail(self, number: int, gives_back: bool) -> None:
        runner, run = self.pick(number)
        self.fault(runner, run)
        runner.fail(run, gives_back)

    @precondition(lambda self: self.live())
    @rule(number=st.integers(0, 9))
    def kill(self, number: int) -> None:
        runner, run = self.pick(number)
        if runner.runs[run].claim is None:
            # Nothing shows that it was not its own error.
            self.fault(runner, run)
        runner.kill(run)

    @precondition(lambda self: self.live())
    @rule(number=st.integers(0, 9))
    def vanish(self, number: int) -> None:
        runner, run = self.pick(number)
        runner.end(run, Phase.VANISHED, "gone")

    @precondition(lambda self: self.live())
    @rule(number=st.integers(0, 9))
    def disappear(self, number: int) -> None:
        runner, run = self.pick(number)
        # It has stopped, but its claim is left, and nobody knows what happened to it.
        runner.forget(run)

    @precondition(lambda self: self.live())
    @rule(number=st.integers(0, 9))
    def interrupt(self, number: int) -> None:
        runner, run = self.pick(number)
        runner.end(run, Phase.INTERRUPTED, "its trigger ended")

    @precondition(lambda self: self.live())
    @rule(number=st.integers(0, 9))
    def terminate(self, number: int) -> None:
        runner, run = self.pick(number)
        runner.end(run, Phase.TERMINATED, "by a person")

    @rule(which=st.integers(0, 1), answer=st.sampled_from(["late", "lost", "twice", "away"]))
    def trouble(self, which: int, answer: str) -> None:
        self.runners[which % len(self.runners)].answers.append(answer)

    @precondition(lambda self: any(runner.late for runner in self.runners))
    @rule()
    def arrive(self) -> None:
        next(runner for runner in self.runners if runner.late).arrive()

    # Time and triggers.
    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 400.0]))
    def tick(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds

    @rule(seconds=st.sampled_from([-3600.0, 3600.0]))
    def clock_jumps(self, seconds: float) -> None:
        self.wall += seconds

    @rule(which=st.integers(0, 1))
    def poll(self, which: int) -> None:
        self.triggers[which].poll()

    @rule(which=st.integers(0, 1))
    def start_anew(self, which: int) -> None:
        self.restarts += 1
        self.triggers[which] = Trigger(
            self, f"{'ab'[which]}:{self.restarts + 1}", self.runners[which % len(self.runners)]
        )

    @invariant()
    def one_effect_per_commit(self) -> None:
        for row in (getattr(self, "pachyderm", None) and self.pachyderm.rows.values()) or ():
            assert row.effects <= 1

    @invariant()
    def what_has_its_own_parameters_is_never_superseded(self) -> None:
        if not hasattr(self, "pachyderm"):
            return
        for row in self.pachyderm.rows.values():
            if row.error.startswith("superseded"):
                assert not self.own(row), f"{row.key} had hyperparameters of its own"
                assert self.policies[pipeline_of(self.branch(row)).name].policy == "latest"

    @invariant()
    def what_superseded_a_commit_holds_a_commit_of_the_same_repo(self) -> None:
        if not hasattr(self, "pachyderm"):
            return
        for row in self.pachyderm.rows.values():
            if row.error.startswith("superseded"):
                by = row.error.split()[-1]
                assert (row.repo, by) in self.pachyderm.rows or by in self.dropped, f"{row.key}: {row.error}"

    @invariant()
    def retries_are_bounded(self) -> None:
        if not hasattr(self, "pachyderm"):
            return
        for (pipeline, commit_set), count in Counter((k.pipeline, k.commit_set) for k in self.attempts()).items():
            outputs = next(entry.outputs for entry in PIPELINES if entry.name == pipeline)
            row = self.pachyderm.rows.get((outputs[-1].repo, commit_set))
            if row is None:
                continue
            ends = {d.attempt: d.decision for d in decisions_of(row.metadata) if d.decision in ENDINGS}
            assert count <= len(ends) + 1, f"{commit_set} was tried {count} times"
            failed = [attempt for attempt, word in ends.items() if word not in INTERRUPTIONS]
            assert len(failed) <= ATTEMPTS, f"{commit_set} failed {len(failed)} times"

    @invariant()
    def nothing_is_called_failed_that_was_only_killed(self) -> None:
        if not hasattr(self, "pachyderm"):
            return
        for pipeline in PIPELINES:
            for row in self.pachyderm.rows.values():
                if row.error.startswith(f"failed: {pipeline.name} failed "):
                    assert self.faults[RunKey(pipeline.name, row.id, 1)] >= ATTEMPTS, row.error
                assert "in a row" not in row.error, row.error

    def attempts(self) -> set[RunKey]:
        return {key for runner in self.runners for key in (*runner.created, *runner.late)}

    def own(self, row: Row) -> bool:
        return any(f"hyperparameters.{row.id}" in entry.metadata for entry in self.pachyderm.rows.values())

    def branch(self, row: Row) -> Any:
        return next(b for b in PROVENANCE if any(r is row for r in self.pachyderm.chain(b)))

    def teardown(self) -> None:
        """Once the faults stop, everything ends within a few polls, without a hot loop."""
        if not hasattr(self, "pachyderm"):
            return
        for runner in self.runners:
            runner.answers.clear()
            while runner.late:
                runner.arrive()
        for _ in range(400):
            for trigger in self.triggers:
                idle = 0
                for _ in range(100):
                    if trigger.poll() == 0:
                        break
                    idle += 1
                assert idle < 100, "a hot loop: every look does something, and nothing changes"
            for runner, run in self.live():
                for _ in range(8):
                    if not runner.runs[run].state.over:
                        runner.advance(run)
                        self.pachyderm.check()
            self.pachyderm.check()
            self.tick(10.0)
            if not any(row.open for row in self.pachyderm.rows.values()) and not idle:
                break
        open_now = [row.key for row in self.pachyderm.rows.values() if row.open]
        assert not open_now, f"still open: {open_now}"
        for branch in PROVENANCE:
            newest = self.pachyderm.newest_set(branch)
            assert newest.finished
            assert not newest.error or newest.error.split(":")[0] in ("failed", "cancelled"), newest.error
        self.one_effect_per_commit()
        self.what_has_its_own_parameters_is_never_superseded()
        self.retries_are_bounded()
        self.nothing_is_called_failed_that_was_only_killed()
        for row in self.pachyderm.rows.values():
            times = [decision.attempt for decision in decisions_of(row.metadata) if decision.decision == "start"]
            assert len(times) == len(set(times))


def histories(examples: int) -> None:
    configured = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        # Shrinking takes longer than reading the failure.
        phases=(HypothesisPhase.explicit, HypothesisPhase.generate),
        suppress_health_check=list(HealthCheck),
        derandomize="HISTORIES_SEEDS" not in os.environ,
        print_blob=True,
    )
    run_state_machine_as_test(Histories, settings=configured)


def test_random_histories_of_300_steps() -> None:
    histories(6)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_random_histories_of_10000_steps(volume: Callable[[int, int], int]) -> None:
    histories(volume(200, 20))
