"""Interruptions and failures: killed attempts are retried without counting; reported errors count and are quoted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_runner import FakeRunner
from test_rules import TRAIN, SimulatedTrigger

from pachyderm.client.commits import inspect
from pachyderm.dag.repos import TRAINING
from pachyderm.errors import ConflictError, ServerError, UnreachableError
from pachyderm.queue.claims import STALE_AFTER, claims_of, end_of, fault_key, give_back, progress_keys
from workflows.daemon.lease import NoElection
from workflows.runners.runner import Phase
from workflows.trigger.controller import Controller, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.reconcile import CONFIRMED_WITHIN, STARTS_WITHIN
from workflows.trigger.snapshot import Snapshot
from workflows.trigger.snapshot_builder import Clock


def claimed(trigger: SimulatedTrigger) -> str:
    """Return the live run, once it has claimed its first commit."""
    run = trigger.run()
    trigger.runner.advance(run)
    assert trigger.runner.runs[run].claim is not None
    return run


def reports(trigger: SimulatedTrigger, run: str, error: BaseException) -> None:
    """Give the claim of a run's stage back with an error, as `pachyderm.output.output_commit` does."""
    state, claim = trigger.runner.runs[run].state, trigger.runner.runs[run].claim
    assert state.key is not None
    assert claim is not None
    commit = inspect(trigger.pachyderm, claim[0], state.key.commit_set)
    give_back(trigger.pachyderm, commit, claim[1], end_of(error))


def ends_as(trigger: SimulatedTrigger, run: str, error: str, certain: bool) -> None:
    trigger.runner.end(run, Phase.FAILED, error)
    trigger.runner.runs[run].state = replace(trigger.runner.runs[run].state, certain=certain)


def notes(trigger: SimulatedTrigger, commit_set: str) -> list[tuple[str, str]]:
    from pachyderm.queue.decisions import decisions_of

    decisions = decisions_of(trigger.pachyderm.rows["model", commit_set].metadata)
    return [(d.decision, d.reason) for d in decisions if d.decision not in ("start", "started")]


def test_a_hundred_kills_with_progress_between_them_end_nothing() -> None:
    trigger = SimulatedTrigger(backoff=0.0)
    commit_set = trigger.pachyderm.put(TRAINING)
    for kill in range(100):
        trigger.tick(STALE_AFTER)
        run = claimed(trigger)
        number = claims_of(trigger.pachyderm.rows["checkpoint", commit_set].metadata)[-1].number
        trigger.pachyderm.edit_keys("checkpoint", commit_set, put={f"done.{number}": str(kill)})
        trigger.runner.end(run, Phase.VANISHED, "killed")
        trigger.poll()
    trigger.works()
    assert trigger.error("model", commit_set) == ""
    assert trigger.pachyderm.rows["model", commit_set].effects == 1


def test_twenty_interruptions_in_a_row_without_progress_end_the_commit_set_with_an_error_that_states_it() -> None:
    trigger = SimulatedTrigger(backoff=0.0)
    commit_set = trigger.pachyderm.put(TRAINING)
    for attempt in range(1, 21):
        trigger.tick(1.0)
        assert trigger.live() == [f"{TRAIN} {attempt}"]
        trigger.runner.end(claimed(trigger), Phase.VANISHED, "node lost")
    trigger.poll()
    assert trigger.live() == []
    assert trigger.error("checkpoint", commit_set) == (
        f"failed: {TRAIN} was interrupted 20 times in a row without progress (the limit, `interruptions`), "
        f"last in run run-0020: node lost; fix the cause, then: pix2pix retry {commit_set}"
    )


def test_a_failure_between_interruptions_restarts_their_count_and_a_retry_forgives_both() -> None:
    trigger = SimulatedTrigger(backoff=0.0, interruptions=3, attempts=3)
    commit_set = trigger.pachyderm.put(TRAINING)
    order = (Phase.VANISHED, Phase.INTERRUPTED, Phase.FAILED, Phase.VANISHED, Phase.VANISHED)
    for phase in order:
        trigger.tick(1.0)
        trigger.runner.end(trigger.run(), phase, "because")
    trigger.tick(1.0)
    assert trigger.live() == [f"{TRAIN} 6"]
    trigger.runner.end(trigger.run(), Phase.VANISHED, "because")
    trigger.poll()
    assert "3 times in a row" in trigger.error("checkpoint", commit_set)


def test_a_commit_that_was_finished_is_progress() -> None:
    trigger = SimulatedTrigger(backoff=0.0, interruptions=2)
    commit_set = trigger.pachyderm.put(TRAINING)
    for steps in (1, 3, 1):
        trigger.tick(1.0)
        run = trigger.run()
        for _ in range(steps):
            trigger.runner.advance(run)
            trigger.pachyderm.check()
        trigger.runner.end(run, Phase.VANISHED, "killed")
    # The second run finished the checkpoint before it was killed.
    assert trigger.pachyderm.rows["checkpoint", commit_set].effects == 1
    trigger.tick(1.0)
    assert trigger.live() == [f"{TRAIN} 4"]


def shards_keep(trigger: SimulatedTrigger, commit_set: str, kept: int, started: int = 0) -> str:
    """Let the live run find results of so many of 100 datums, and a shard of 10 start that many and fail; end it."""
    run = claimed(trigger)
    number = claims_of(trigger.pachyderm.rows["checkpoint", commit_set].metadata)[-1].number
    fault = f"failed: shard 2 of 3 (/04.jpg to /06.jpg, 3 files): attempt {number}"
    keys = {**progress_keys(number, kept, 100), **progress_keys(number, started, 10, shard=2)}
    trigger.pachyderm.edit_keys("checkpoint", commit_set, put={**keys, fault_key(number): fault})
    ends_as(trigger, run, "task shard failed", certain=False)
    return run


def test_a_failed_shard_beside_others_that_progress_uses_up_no_attempt_and_one_that_fails_again_is_named() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=3)
    commit_set = trigger.pachyderm.put(TRAINING)
    for started, kept in enumerate((10, 40, 70, 80, 90, 90, 90)):
        trigger.tick(1.0)
        shards_keep(trigger, commit_set, kept, started)
    trigger.tick(1.0)
    assert trigger.live() == [f"{TRAIN} 8"], "two attempts without progress"
    run = shards_keep(trigger, commit_set, 80)
    trigger.controller = trigger.new_controller("t:2")
    trigger.poll()
    assert trigger.error("checkpoint", commit_set) == (
        f"failed: {TRAIN} failed 3 times without progress of its shards, last in run {run}: checkpoint@{commit_set}: "
        "failed: shard 2 of 3 (/04.jpg to /06.jpg, 3 files): attempt 8 (task shard failed); "
        f"fix the cause, then: pix2pix retry {commit_set}"
    ).replace(": failed: shard", ": shard")


def test_attempts_that_progress_but_never_complete_have_a_budget_of_their_own_that_the_error_names() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=1, partial_failures=5)
    commit_set = trigger.pachyderm.put(TRAINING)
    for kept in range(1, 6):
        trigger.tick(1.0)
        assert trigger.live() == [f"{TRAIN} {kept}"]
        shards_keep(trigger, commit_set, kept)
    trigger.poll()
    assert trigger.live() == []
    assert "failed 5 times in some of its shards (the limit, `partial_failures`)" in trigger.error(
        "checkpoint", commit_set
    )


def test_work_that_is_lost_with_its_attempt_is_no_progress_of_shards() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=2)
    commit_set = trigger.pachyderm.put(TRAINING)
    for done in (30, 60):
        trigger.tick(1.0)
        run = claimed(trigger)
        number = claims_of(trigger.pachyderm.rows["checkpoint", commit_set].metadata)[-1].number
        trigger.pachyderm.edit_keys("checkpoint", commit_set, put=progress_keys(number, done, 100))
        reports(trigger, run, ValueError("no luck"))
        ends_as(trigger, run, "task train failed", certain=True)
    trigger.poll()
    assert "failed 2 times, last" in trigger.error("checkpoint", commit_set)


@pytest.mark.parametrize("certain", [True, False])
def test_an_error_that_the_stage_reported_counts_and_comes_first(certain: bool) -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    run = claimed(trigger)
    reports(trigger, run, ValueError("pair 7 has no right half"))
    ends_as(trigger, run, "task train failed, see the log", certain)
    trigger.poll()
    assert trigger.error("checkpoint", commit_set).startswith(
        f"failed: {TRAIN} failed 1 time, last in run {run}: checkpoint@{commit_set}: "
        "ValueError: pair 7 has no right half (task train failed, see the log); "
    )


def test_a_run_that_is_only_known_to_have_failed_was_killed_if_its_claim_is_live() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    ends_as(trigger, claimed(trigger), "task train failed, no cause", certain=False)
    trigger.poll()
    assert trigger.live() == [f"{TRAIN} 2"]
    ((word, reason),) = notes(trigger, commit_set)
    assert word == "interrupted"
    assert "it was killed" in reason


def test_the_same_holds_when_the_trigger_was_killed_between_giving_the_claim_back_and_recording_the_end() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    run = claimed(trigger)
    ends_as(trigger, run, "task train failed, no cause", certain=False)
    give_back(trigger.pachyderm, inspect(trigger.pachyderm, "checkpoint", commit_set), 1, f"run {run} is over: failed")
    trigger.controller = trigger.new_controller("t:2")
    trigger.poll()
    assert [word for word, _ in notes(trigger, commit_set)] == ["interrupted"]


def test_a_run_that_failed_before_it_claimed_anything_failed() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    ends_as(trigger, trigger.run(), "task train failed, no cause", certain=False)
    trigger.poll()
    assert "task train failed, no cause" in trigger.error("checkpoint", commit_set)


def test_out_of_memory_counts_though_the_claim_is_live_and_the_error_names_memory() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    ends_as(trigger, claimed(trigger), "task train ran out of memory: OOMKilled", certain=True)
    trigger.poll()
    assert "ran out of memory" in trigger.error("checkpoint", commit_set)


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt(), UnreachableError("pachd is away")])
def test_a_signal_or_a_pachyderm_that_is_away_is_not_an_error_of_the_work(error: BaseException) -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    run = claimed(trigger)
    reports(trigger, run, error)
    ends_as(trigger, run, "task train failed", certain=True)
    trigger.poll()
    assert trigger.live() == [f"{TRAIN} 2"]
    ((word, reason),) = notes(trigger, commit_set)
    assert word == "interrupted"
    assert type(error).__name__ in reason


class Apart(SimulatedTrigger):
    """Two triggers whose runners do not see each other's runs, as in two folders or on two hosts."""

    def __init__(self, **policy: object) -> None:
        super().__init__(**policy)
        self.runner.where = "host-a:/a/runs"
        self.other_runner = FakeRunner(self.pachyderm, lambda: self.wall, True, "host-b:/b/runs")
        clock = Clock(lambda: self.steady, lambda: self.wall)
        settings = Settings(self.policies, 9, 2.0, "host-b:2")
        metrics = Metrics(lambda: self.steady, lambda: self.wall)
        self.other = Controller(
            self.pachyderm, self.other_runner, NoElection(), settings, clock, lambda seconds: False, metrics
        )

    def both(self, seconds: float = 0.0) -> Snapshot:
        """Let time pass and poll both triggers; return the snapshot of the second."""
        self.tick(seconds)
        for _ in range(50):
            snapshot, self.other_plan, done = self.other.poll()
            if not done:
                return snapshot
        raise AssertionError("a hot loop")


def test_a_run_at_another_location_counts_as_alive_while_it_may_be_starting() -> None:
    trigger = Apart()
    commit_set = trigger.pachyderm.put(TRAINING)
    for _ in range(10):
        trigger.both(STARTS_WITHIN / 11)
    assert trigger.live() == [f"{TRAIN} 1"]
    assert trigger.other_runner.created == []
    (waiting,) = trigger.other_plan.waiting
    assert waiting.why == "attempt 1, which t:1 started in host-a:/a/runs, may be starting"
    assert waiting.seconds is not None
    trigger.works()
    trigger.both()
    assert trigger.pachyderm.rows["model", commit_set].effects == 1


def test_a_run_at_another_location_counts_as_alive_while_its_claim_is_live_and_between_its_tasks() -> None:
    trigger = Apart()
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.both()
    run = trigger.run()
    trigger.runner.advance(run)
    for beat in range(20):
        trigger.pachyderm.edit_keys("checkpoint", commit_set, put={"alive.1": str(beat)})
        trigger.both(STALE_AFTER - 1)
    trigger.runner.advance(run)
    trigger.pachyderm.check()
    # The next task takes time to start, too.
    trigger.both(STARTS_WITHIN - 1)
    trigger.both(0.5)
    assert trigger.other_runner.created == []
    trigger.works()
    assert trigger.pachyderm.rows["model", commit_set].effects == 1


def test_a_run_at_another_location_that_is_silent_is_an_interruption_and_is_taken_over() -> None:
    trigger = Apart(attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.both()
    trigger.runner.forget(trigger.run())  # with its host, and its trigger
    for _ in range(2):
        trigger.steady += STARTS_WITHIN + 1
        trigger.other.poll()
    assert [key.attempt for key in trigger.other_runner.created] == [2]
    ((word, reason),) = notes(trigger, commit_set)
    assert word == "interrupted"
    assert reason == ("no heartbeat for 301 s from run run-host-a:/a/runs-0001, which t:1 started in host-a:/a/runs")


def test_a_run_at_another_location_that_reported_an_error_before_it_fell_silent_failed() -> None:
    trigger = Apart(attempts=1)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.both()
    run = claimed(trigger)
    reports(trigger, run, ValueError("no luck"))
    trigger.other.poll()
    trigger.steady += STARTS_WITHIN + 1
    trigger.other.poll()
    assert "ValueError: no luck" in trigger.error("checkpoint", commit_set)


def test_a_start_announced_elsewhere_and_never_confirmed_is_given_a_minute_and_never_resumed() -> None:
    trigger = Apart()
    trigger.pachyderm.put(TRAINING)
    trigger.runner.answers.append("late")
    trigger.controller.poll()
    trigger.other.poll()
    trigger.steady += CONFIRMED_WITHIN - 1
    trigger.other.poll()
    assert trigger.other_runner.created == []
    trigger.steady += 2
    trigger.other.poll()
    assert [key.attempt for key in trigger.other_runner.created] == [2]


def test_a_start_that_was_only_slow_costs_a_wasted_run_and_no_result() -> None:
    trigger = Apart(attempts=1, interruptions=1000)
    commit_set = trigger.pachyderm.put(TRAINING)
    for _ in range(30):
        trigger.both(STARTS_WITHIN + 1)
    # Each trigger waits for its own run: exactly one start was wasted.
    assert len(trigger.runner.created) == len(trigger.other_runner.created) == 1
    for runner in (trigger.other_runner, trigger.runner):
        (state,) = runner.live()
        for _ in range(8):
            if not runner.runs[state.run].state.over:
                runner.advance(state.run)
                trigger.pachyderm.check()
    trigger.both(1.0)
    assert trigger.pachyderm.rows["model", commit_set].effects == 1


def test_the_end_of_a_claim_distinguishes_errors_from_stops() -> None:
    assert end_of(ValueError("x")) == "failed: ValueError: x"
    assert end_of(MemoryError()) == "failed: MemoryError"
    assert end_of(SystemExit(143)) == "interrupted: SystemExit: 143"
    assert end_of(UnreachableError("away")) == "interrupted: UnreachableError: away"
    assert end_of(ConflictError("aborted")) == "interrupted: ConflictError: aborted"
    assert end_of(ServerError("damaged")) == "failed: ServerError: damaged"
    assert len(end_of(ValueError("x" * 1000))) == 500
