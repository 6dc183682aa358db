"""What is killed is tried again and never called failed; what reports an error of its own counts, and is quoted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake_runner import FakeRunner
from test_rules import TRAIN, Stage

from pachyderm.client.commits import inspect
from pachyderm.dag.repos import TRAINING
from pachyderm.errors import UnreachableError
from pachyderm.queue.claims import STALE_AFTER, claims_of, end_of, give_back
from workflows.daemon.lease import NoElection
from workflows.runners.runner import Phase
from workflows.trigger.controller import Controller, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.reconcile import CONFIRMED_WITHIN, STARTS_WITHIN
from workflows.trigger.snapshot import Snapshot
from workflows.trigger.snapshot_builder import Clock


def claimed(stage: Stage) -> str:
    """The live run, once it has claimed its first commit."""
    run = stage.run()
    stage.runner.advance(run)
    assert stage.runner.runs[run].claim is not None
    return run


def reports(stage: Stage, run: str, error: BaseException) -> None:
    """A run's stage gives its claim back with an error, as `pachyderm.output.output_commit` does."""
    state, claim = stage.runner.runs[run].state, stage.runner.runs[run].claim
    assert state.key is not None
    assert claim is not None
    commit = inspect(stage.pachyderm, claim[0], state.key.commit_set)
    give_back(stage.pachyderm, commit, claim[1], end_of(error))


def ends_as(stage: Stage, run: str, error: str, certain: bool) -> None:
    stage.runner.end(run, Phase.FAILED, error)
    stage.runner.runs[run].state = replace(stage.runner.runs[run].state, certain=certain)


def notes(stage: Stage, commit_set: str) -> list[tuple[str, str]]:
    from pachyderm.queue.decisions import decisions_of

    decisions = decisions_of(stage.pachyderm.rows["model", commit_set].metadata)
    return [(d.decision, d.reason) for d in decisions if d.decision not in ("start", "started")]


def test_a_hundred_kills_with_progress_between_them_end_nothing() -> None:
    stage = Stage(backoff=0.0)
    commit_set = stage.pachyderm.put(TRAINING)
    for kill in range(100):
        stage.tick(STALE_AFTER)
        run = claimed(stage)
        number = claims_of(stage.pachyderm.rows["checkpoint", commit_set].metadata)[-1].number
        stage.pachyderm.edit_keys("checkpoint", commit_set, put={f"done.{number}": str(kill)})
        stage.runner.end(run, Phase.VANISHED, "killed")
        stage.poll()
    stage.works()
    assert stage.error("model", commit_set) == ""
    assert stage.pachyderm.rows["model", commit_set].effects == 1


def test_twenty_interruptions_in_a_row_without_progress_end_the_set_and_the_error_says_so() -> None:
    stage = Stage(backoff=0.0)
    commit_set = stage.pachyderm.put(TRAINING)
    for attempt in range(1, 21):
        stage.tick(1.0)
        assert stage.live() == [f"{TRAIN} {attempt}"]
        stage.runner.end(claimed(stage), Phase.VANISHED, "node lost")
    stage.poll()
    assert stage.live() == []
    assert stage.error("checkpoint", commit_set) == (
        f"failed: {TRAIN} was interrupted 20 times in a row without progress (the limit, `interruptions`), "
        f"last in run run-0020: node lost; fix the cause, then: pix2pix retry {commit_set}"
    )


def test_a_failure_between_interruptions_begins_their_row_anew_and_a_retry_sets_both_aside() -> None:
    stage = Stage(backoff=0.0, interruptions=3, attempts=3)
    commit_set = stage.pachyderm.put(TRAINING)
    order = (Phase.VANISHED, Phase.INTERRUPTED, Phase.FAILED, Phase.VANISHED, Phase.VANISHED)
    for phase in order:
        stage.tick(1.0)
        stage.runner.end(stage.run(), phase, "because")
    stage.tick(1.0)
    assert stage.live() == [f"{TRAIN} 6"]
    stage.runner.end(stage.run(), Phase.VANISHED, "because")
    stage.poll()
    assert "3 times in a row" in stage.error("checkpoint", commit_set)


def test_a_commit_that_was_finished_is_progress() -> None:
    stage = Stage(backoff=0.0, interruptions=2)
    commit_set = stage.pachyderm.put(TRAINING)
    for steps in (1, 3, 1):
        stage.tick(1.0)
        run = stage.run()
        for _ in range(steps):
            stage.runner.advance(run)
            stage.pachyderm.check()
        stage.runner.end(run, Phase.VANISHED, "killed")
    # The second run finished the checkpoint before it was killed.
    assert stage.pachyderm.rows["checkpoint", commit_set].effects == 1
    stage.tick(1.0)
    assert stage.live() == [f"{TRAIN} 4"]


@pytest.mark.parametrize("certain", [True, False])
def test_an_error_that_the_stage_reported_counts_and_comes_first(certain: bool) -> None:
    stage = Stage(backoff=0.0, attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    run = claimed(stage)
    reports(stage, run, ValueError("pair 7 has no right half"))
    ends_as(stage, run, "task train failed, see the log", certain)
    stage.poll()
    assert stage.error("checkpoint", commit_set).startswith(
        f"failed: {TRAIN} failed 1 time, last in run {run}: checkpoint@{commit_set}: "
        "ValueError: pair 7 has no right half (task train failed, see the log); "
    )


def test_a_run_that_is_only_known_to_have_failed_was_killed_where_its_claim_lives() -> None:
    stage = Stage(backoff=0.0, attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    ends_as(stage, claimed(stage), "task train failed, no cause", certain=False)
    stage.poll()
    assert stage.live() == [f"{TRAIN} 2"]
    ((word, reason),) = notes(stage, commit_set)
    assert word == "interrupted"
    assert "it was killed" in reason


def test_the_same_holds_when_the_trigger_was_killed_between_giving_the_claim_back_and_noting_the_end() -> None:
    stage = Stage(backoff=0.0, attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    run = claimed(stage)
    ends_as(stage, run, "task train failed, no cause", certain=False)
    give_back(stage.pachyderm, inspect(stage.pachyderm, "checkpoint", commit_set), 1, f"run {run} is over: failed")
    stage.controller = stage.anew("t:2")
    stage.poll()
    assert [word for word, _ in notes(stage, commit_set)] == ["interrupted"]


def test_a_run_that_failed_before_it_claimed_anything_failed() -> None:
    stage = Stage(backoff=0.0, attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    ends_as(stage, stage.run(), "task train failed, no cause", certain=False)
    stage.poll()
    assert "task train failed, no cause" in stage.error("checkpoint", commit_set)


def test_out_of_memory_counts_though_the_claim_lives_and_the_error_names_memory() -> None:
    stage = Stage(backoff=0.0, attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    ends_as(stage, claimed(stage), "task train ran out of memory: OOMKilled", certain=True)
    stage.poll()
    assert "ran out of memory" in stage.error("checkpoint", commit_set)


@pytest.mark.parametrize("error", [SystemExit(143), KeyboardInterrupt(), UnreachableError("pachd is away")])
def test_a_signal_or_a_pachyderm_that_is_away_is_no_error_of_the_work(error: BaseException) -> None:
    stage = Stage(backoff=0.0, attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    run = claimed(stage)
    reports(stage, run, error)
    ends_as(stage, run, "task train failed", certain=True)
    stage.poll()
    assert stage.live() == [f"{TRAIN} 2"]
    ((word, reason),) = notes(stage, commit_set)
    assert word == "interrupted"
    assert type(error).__name__ in reason


class Apart(Stage):
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
        """Let time pass and both triggers look; what the second saw."""
        self.tick(seconds)
        for _ in range(50):
            snapshot, self.other_plan, done = self.other.poll()
            if not done:
                return snapshot
        raise AssertionError("a hot loop")


def test_a_run_of_another_place_counts_as_alive_while_it_may_be_starting() -> None:
    stage = Apart()
    commit_set = stage.pachyderm.put(TRAINING)
    for _ in range(10):
        stage.both(STARTS_WITHIN / 11)
    assert stage.live() == [f"{TRAIN} 1"]
    assert stage.other_runner.created == []
    (waiting,) = stage.other_plan.waiting
    assert waiting.why == "attempt 1, which t:1 started in host-a:/a/runs, may be starting"
    assert waiting.seconds is not None
    stage.works()
    stage.both()
    assert stage.pachyderm.rows["model", commit_set].effects == 1


def test_a_run_of_another_place_counts_as_alive_while_its_claim_lives_and_between_its_tasks() -> None:
    stage = Apart()
    commit_set = stage.pachyderm.put(TRAINING)
    stage.both()
    run = stage.run()
    stage.runner.advance(run)
    for beat in range(20):
        stage.pachyderm.edit_keys("checkpoint", commit_set, put={"alive.1": str(beat)})
        stage.both(STALE_AFTER - 1)
    stage.runner.advance(run)
    stage.pachyderm.check()
    # The next task needs its time to start, too.
    stage.both(STARTS_WITHIN - 1)
    stage.both(0.5)
    assert stage.other_runner.created == []
    stage.works()
    assert stage.pachyderm.rows["model", commit_set].effects == 1


def test_a_run_of_another_place_that_is_silent_is_an_interruption_and_is_taken_over() -> None:
    stage = Apart(attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.both()
    stage.runner.forget(stage.run())  # with its host, and its trigger
    for _ in range(2):
        stage.steady += STARTS_WITHIN + 1
        stage.other.poll()
    assert [key.attempt for key in stage.other_runner.created] == [2]
    ((word, reason),) = notes(stage, commit_set)
    assert word == "interrupted"
    assert reason == ("no heartbeat for 301 s from run run-host-a:/a/runs-0001, which t:1 started in host-a:/a/runs")


def test_a_run_of_another_place_that_reported_an_error_before_it_fell_silent_failed() -> None:
    stage = Apart(attempts=1)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.both()
    run = claimed(stage)
    reports(stage, run, ValueError("no luck"))
    stage.other.poll()
    stage.steady += STARTS_WITHIN + 1
    stage.other.poll()
    assert "ValueError: no luck" in stage.error("checkpoint", commit_set)


def test_a_start_that_another_place_announced_and_nobody_confirmed_is_given_a_minute_and_never_resumed() -> None:
    stage = Apart()
    stage.pachyderm.put(TRAINING)
    stage.runner.answers.append("late")
    stage.controller.poll()
    stage.other.poll()
    stage.steady += CONFIRMED_WITHIN - 1
    stage.other.poll()
    assert stage.other_runner.created == []
    stage.steady += 2
    stage.other.poll()
    assert [key.attempt for key in stage.other_runner.created] == [2]


def test_a_start_that_was_only_slow_costs_a_wasted_run_and_no_result() -> None:
    stage = Apart(attempts=1, interruptions=1000)
    commit_set = stage.pachyderm.put(TRAINING)
    for _ in range(30):
        stage.both(STARTS_WITHIN + 1)
    # Each trigger has its own run and waits for it: one start was wasted, and not one more.
    assert len(stage.runner.created) == len(stage.other_runner.created) == 1
    for runner in (stage.other_runner, stage.runner):
        (state,) = runner.live()
        for _ in range(8):
            if not runner.runs[state.run].state.over:
                runner.advance(state.run)
                stage.pachyderm.check()
    stage.both(1.0)
    assert stage.pachyderm.rows["model", commit_set].effects == 1


def test_the_end_of_a_claim_tells_errors_from_stops() -> None:
    assert end_of(ValueError("x")) == "failed: ValueError: x"
    assert end_of(MemoryError()) == "failed: MemoryError"
    assert end_of(SystemExit(143)) == "interrupted: SystemExit: 143"
    assert len(end_of(ValueError("x" * 1000))) == 500
