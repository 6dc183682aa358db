"""The trigger's rules, one by one, on a Pachyderm and a runner in memory and with a clock that is told the time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fake_pachyderm import FakePachyderm
from fake_runner import FakeRunner
from prometheus_client import generate_latest

from pachyderm.client.commits import inspect
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, PREPROCESS_IMAGES, TRAINING
from pachyderm.queue.claims import STALE_AFTER, live_claim, take
from pachyderm.queue.decisions import decisions_of
from pachyderm.queue.ends import finish_with
from workflows.daemon.lease import NoElection
from workflows.runners.runner import Phase, RunKey
from workflows.settings.policy import Policy, defaults
from workflows.trigger import work_items
from workflows.trigger.actions import ActionPlan, Start
from workflows.trigger.controller import Controller, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.reconcile import CONFIRMED_WITHIN, LINGER, reconcile
from workflows.trigger.snapshot_builder import Clock

TRAIN, DRAW = "training_and_export", "preprocessing_and_generation"


class Stage:
    """A trigger over the fakes, and a clock."""

    def __init__(self, max_concurrent_runs: int = 9, atomic_start: bool = True, **policy: object) -> None:
        self.steady, self.wall = 0.0, 1_700_000_000.0
        self.pachyderm = FakePachyderm(lambda: self.wall)
        self.runner = FakeRunner(self.pachyderm, lambda: self.wall, atomic_start)
        self.policies: dict[str, Policy] = {
            name: replace(one, **policy)  # type: ignore[arg-type]
            for name, one in defaults().items()
        }
        self.max_concurrent_runs = max_concurrent_runs
        self.metrics = Metrics(lambda: self.steady, lambda: self.wall)
        self.controller = self.anew("t:1")
        self.plan = ActionPlan((), ())

    def anew(self, by: str) -> Controller:
        clock = Clock(lambda: self.steady, lambda: self.wall)
        settings = Settings(self.policies, self.max_concurrent_runs, 2.0, by)
        return Controller(
            self.pachyderm, self.runner, NoElection(), settings, clock, lambda seconds: False, self.metrics
        )

    def poll(self) -> None:
        """Look until nothing more is done at once."""
        for _ in range(50):
            _, self.plan, done = self.controller.poll()
            if not done:
                return
        raise AssertionError("a hot loop")

    def tick(self, seconds: float) -> None:
        self.steady += seconds
        self.wall += seconds
        self.poll()

    def live(self) -> list[str]:
        return [f"{state.key.pipeline} {state.key.attempt}" for state in self.runner.live() if state.key]

    def run(self) -> str:
        (state,) = self.runner.live()
        return state.run

    def works(self, run: str = "") -> None:
        """A run does all of its work."""
        for _ in range(8):
            if not self.runner.runs[run or self.run()].state.over:
                self.runner.advance(run or self.run())
                self.pachyderm.check()
            if run == "" and not self.runner.live():
                break
        self.poll()

    def why(self) -> list[str]:
        return [one.why for one in self.plan.waiting]

    def error(self, repo: str, commit_set: str) -> str:
        return self.pachyderm.rows[repo, commit_set].error

    def words(self, repo: str, commit_set: str) -> list[str]:
        return [d.decision for d in decisions_of(self.pachyderm.rows[repo, commit_set].metadata)]


def test_back_off_doubles_by_the_observers_clock_whatever_the_wall_clock_does() -> None:
    stage = Stage(backoff=10.0)
    stage.pachyderm.put(TRAINING)
    stage.poll()
    stage.runner.fail(stage.run(), gives_back=True)
    stage.poll()
    assert stage.why() == ["attempt 1 failed; the next one in 10 s"]
    assert stage.plan.next_poll == pytest.approx(10.0)
    stage.wall -= 3600
    stage.tick(9.9)
    assert stage.live() == []
    stage.tick(0.2)
    assert stage.live() == [f"{TRAIN} 2"]
    stage.runner.fail(stage.run(), gives_back=False)
    stage.poll()
    stage.tick(19.9)
    assert stage.live() == []
    stage.tick(0.2)
    assert stage.live() == [f"{TRAIN} 3"]


def test_a_clock_that_jumps_forward_after_a_restart_shortens_a_wait_and_never_lengthens_it() -> None:
    stage = Stage(backoff=10.0)
    stage.pachyderm.put(TRAINING)
    stage.poll()
    stage.runner.fail(stage.run(), gives_back=True)
    stage.poll()
    stage.wall -= 3600  # the run ended "in an hour"
    stage.controller = stage.anew("t:2")
    stage.poll()
    assert stage.why() == ["attempt 1 failed; the next one in 10 s"]
    stage.tick(10.1)
    assert stage.live() == [f"{TRAIN} 2"]


def test_the_budget_counts_failures_and_neither_vanished_nor_interrupted_runs() -> None:
    stage = Stage(backoff=0.0, attempts=2)
    commit_set = stage.pachyderm.put(TRAINING)
    for phase in (Phase.INTERRUPTED, Phase.FAILED, Phase.VANISHED, Phase.FAILED):
        stage.poll()
        stage.runner.end(stage.run(), phase, "because")
    stage.poll()
    assert stage.live() == []
    assert stage.error("checkpoint", commit_set).startswith(
        f"failed: {TRAIN} failed 2 times, last in run run-0004: because"
    )
    assert stage.error("model", commit_set).startswith(f"failed: checkpoint@{commit_set}:")
    assert stage.words("model", commit_set).count("start") == 4


def test_what_is_interrupted_again_and_again_waits_like_a_failure() -> None:
    stage = Stage(backoff=10.0)
    stage.pachyderm.put(TRAINING)
    for _ in range(4):
        stage.poll()
        stage.runner.end(stage.run(), Phase.INTERRUPTED, "its trigger ended")
    stage.poll()
    assert stage.live() == []
    stage.tick(10.1)
    assert stage.live() == [f"{TRAIN} 5"]


def test_the_reason_of_an_attempt_names_what_ended_the_one_before() -> None:
    stage = Stage(backoff=0.0, attempts=9)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    stage.runner.fail(stage.run(), gives_back=True)
    stage.poll()
    stage.runner.end(stage.run(), Phase.VANISHED, "gone")
    stage.poll()
    stage.runner.forget(stage.run())
    stage.poll()
    decisions = decisions_of(stage.pachyderm.rows["model", commit_set].metadata)
    assert [one.reason for one in decisions if one.decision == "start"] == [
        f"open: checkpoint@{commit_set}, model@{commit_set}",
        "attempt 2: attempt 1 failed in run run-0001: ValueError: no luck",
        "attempt 3: attempt 2 vanished in run run-0002: gone",
        "attempt 4: attempt 3 vanished in run run-0003: run run-0003 was not found; it was deleted",
    ]


def test_the_reason_of_an_attempt_that_a_trigger_takes_over_names_what_ended_the_one_before() -> None:
    stage = Stage(backoff=0.0)
    stage.pachyderm.put(TRAINING)
    stage.poll()
    stage.runner.fail(stage.run(), gives_back=True)
    stage.runner.answers.append("lost")
    stage.controller.poll()
    stage.runner.forget(stage.run())
    plan = reconcile(stage.controller._builder.build())
    (start,) = [action for action in plan.actions if isinstance(action, Start)]
    assert (start.announced, start.reason) == (True, "attempt 2: attempt 1 failed in run run-0001: ValueError: no luck")


def test_a_terminated_run_ends_its_set_as_cancelled_without_a_retry() -> None:
    stage = Stage()
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    stage.runner.end(stage.run(), Phase.TERMINATED)
    stage.poll()
    assert stage.error("checkpoint", commit_set).startswith("cancelled: run run-0001 was terminated")
    assert stage.error("model", commit_set).startswith("cancelled: ")
    assert stage.live() == []


def test_under_every_sets_are_run_one_after_the_other_oldest_first() -> None:
    stage = Stage()
    sets = [stage.pachyderm.put(INPUT_IMAGES) for _ in range(3)]
    stage.poll()
    for _ in sets:
        assert len(stage.live()) == 1
        stage.works()
    assert [key.commit_set for key in stage.runner.created] == sets


def test_under_latest_a_run_that_works_is_never_stopped_for_a_newer_set() -> None:
    stage = Stage()
    first = stage.pachyderm.put(TRAINING)
    stage.poll()
    between = [stage.pachyderm.put(TRAINING) for _ in range(5)]
    stage.poll()
    assert stage.live() == [f"{TRAIN} 1"]
    assert [stage.error("model", one).split()[-1] for one in between[:-1]] == [between[-1]] * 4
    stage.works()
    assert stage.error("model", first) == ""
    assert [key.commit_set for key in stage.runner.created] == [first, between[-1]]


def test_constant_arrivals_under_latest_are_still_trained() -> None:
    stage = Stage()
    for number in range(40):
        stage.pachyderm.put(TRAINING)
        stage.poll()
        if number % 4 == 3:
            stage.works(stage.runner.live()[0].run)
    good = [row for row in stage.pachyderm.chain(CANDIDATE) if not row.error and row.finished]
    assert len(good) >= 10


def test_a_burst_of_commits_under_latest_makes_one_run_and_names_what_superseded_each() -> None:
    stage = Stage()
    sets = [stage.pachyderm.put(TRAINING) for _ in range(300)]
    stage.poll()
    assert [key.commit_set for key in stage.runner.created] == [sets[-1]]
    assert {stage.error("checkpoint", one) for one in sets[:-1]} == {f"superseded: by {sets[-1]}"}


def test_a_set_with_hyperparameters_of_its_own_is_never_superseded() -> None:
    stage = Stage()
    own = stage.pachyderm.put(TRAINING, move_only=True, own=True)
    newer = [stage.pachyderm.put(TRAINING) for _ in range(2)]
    stage.poll()
    assert [key.commit_set for key in stage.runner.created] == [own]
    assert stage.error("model", newer[0]).startswith("superseded")
    stage.works()
    assert [key.commit_set for key in stage.runner.created] == [own, newer[1]]


def test_a_set_with_hyperparameters_of_its_own_supersedes_nothing() -> None:
    stage = Stage()
    older, covered = (stage.pachyderm.put(TRAINING) for _ in range(2))
    own = stage.pachyderm.put(TRAINING, move_only=True, own=True)
    stage.poll()
    assert stage.error("model", older) == f"superseded: by {covered}"
    stage.works()
    stage.works()
    assert [key.commit_set for key in stage.runner.created] == [covered, own]


def test_a_set_is_superseded_by_one_that_makes_all_of_its_outputs() -> None:
    stage = Stage(policy="latest")
    older, newer = (stage.pachyderm.put(INPUT_IMAGES) for _ in range(2))
    promoted = stage.pachyderm.promote(stage.pachyderm.heads[CANDIDATE])
    stage.poll()
    # The promotion's set prepares no pictures; it is made from those of the newer one.
    assert {stage.error(repo, older) for repo in ("preprocess_images", "generate_images")} == {
        f"superseded: by {newer}"
    }
    stage.works()
    stage.works()
    assert [key.commit_set for key in stage.runner.created] == [newer, promoted]


def test_what_another_set_is_made_from_is_not_superseded() -> None:
    stage = Stage(policy="latest")
    pictures = stage.pachyderm.put(INPUT_IMAGES)
    promoted = stage.pachyderm.promote(stage.pachyderm.heads[CANDIDATE])
    assert stage.pachyderm.rows["generate_images", promoted].provenance[0] == ("preprocess_images", pictures)
    stage.poll()
    assert stage.error("preprocess_images", pictures) == ""
    stage.works()
    stage.works()
    assert stage.pachyderm.rows["generate_images", promoted].effects == 1


def test_what_was_superseded_by_a_set_that_was_dropped_is_opened_again() -> None:
    stage = Stage()
    sets = [stage.pachyderm.put(TRAINING) for _ in range(2)]
    stage.controller.poll()
    stage.runner.forget(stage.run())
    assert stage.pachyderm.drop(sets[1])
    stage.poll()
    head = stage.pachyderm.newest_set(CANDIDATE)
    assert head.id not in sets
    assert stage.runner.created[-1].commit_set == head.id


def test_a_minimum_interval_keeps_the_starts_of_sets_apart_and_the_newest_is_run() -> None:
    stage = Stage(minimum_interval=100.0)
    stage.pachyderm.put(TRAINING)
    stage.poll()
    stage.works()
    newest = [stage.pachyderm.put(TRAINING) for _ in range(2)][-1]
    stage.poll()
    assert stage.live() == []
    assert stage.why() == ["minimum interval: 100 s left"]
    stage.tick(99.0)
    assert stage.live() == []
    stage.tick(1.1)
    assert stage.runner.created[-1].commit_set == newest


def test_no_more_runs_are_live_at_once_than_allowed() -> None:
    stage = Stage(max_concurrent_runs=1)
    stage.pachyderm.put(TRAINING, INPUT_IMAGES)
    stage.poll()
    assert len(stage.live()) == 1
    assert "max_concurrent_runs runs are live" in stage.why()
    stage.works()
    assert len(stage.live()) == 1


def test_a_claim_without_a_sign_of_life_is_taken_for_over_after_five_minutes_of_watching() -> None:
    stage = Stage()
    commit_set = stage.pachyderm.put(TRAINING)
    take(stage.pachyderm, inspect(stage.pachyderm, "checkpoint", commit_set), "stranger", "x")
    stage.poll()
    assert stage.why() == [f"run stranger is working on checkpoint@{commit_set}"]
    stage.tick(STALE_AFTER - 1)
    stage.pachyderm.edit_keys("checkpoint", commit_set, put={"alive.1": "7"})
    stage.poll()
    stage.tick(STALE_AFTER - 1)
    assert stage.live() == []
    stage.tick(1.5)
    assert stage.live() == [f"{TRAIN} 1"]
    assert live_claim(stage.pachyderm.rows["checkpoint", commit_set].metadata) is None


def test_an_input_that_failed_ends_what_is_made_from_it_alike_naming_the_first_cause() -> None:
    stage = Stage()
    commit_set = stage.pachyderm.put(INPUT_IMAGES)
    promoted = stage.pachyderm.promote(stage.pachyderm.heads[CANDIDATE])
    for branch in (PREPROCESS_IMAGES, GENERATE_IMAGES):
        row = stage.pachyderm.rows[branch.repo, commit_set]
        row.finishing = row.finished = True
        row.error = "failed: no picture in it"
    stage.poll()
    assert stage.error("generate_images", promoted) == f"failed: preprocess_images@{commit_set}: no picture in it"
    assert stage.runner.created == []


def test_a_run_whose_commits_are_gone_is_ended_after_a_while() -> None:
    stage = Stage()
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    run = stage.run()
    assert stage.pachyderm.drop(commit_set)
    stage.tick(LINGER - 1)
    stage.tick(LINGER - 2)
    assert stage.runner.ended_by_trigger == []
    stage.tick(3)
    assert stage.runner.ended_by_trigger == [run]


def test_of_two_runs_of_one_attempt_the_one_with_the_claim_stays() -> None:
    stage = Stage()
    stage.pachyderm.put(TRAINING)
    stage.runner.answers.append("twice")
    stage.controller.poll()
    first, second = (state.run for state in stage.runner.live())
    stage.runner.advance(second)
    stage.poll()
    assert stage.runner.ended_by_trigger == [first]
    stage.runner.advance(first)
    stage.works(second)
    assert stage.pachyderm.newest_set(CHECKPOINT).error == ""


def test_a_start_that_another_trigger_announced_is_given_a_minute() -> None:
    stage = Stage(atomic_start=False)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.runner.answers.append("late")
    stage.controller.poll()
    assert stage.runner.late == [RunKey(TRAIN, commit_set, 1)]
    stage.controller = stage.anew("other:1")
    stage.poll()
    assert stage.why() == ["another trigger is starting attempt 1"]
    stage.tick(CONFIRMED_WITHIN - 1)
    assert stage.live() == []
    stage.tick(1.5)
    assert stage.live() == [f"{TRAIN} 1"]


def test_ten_thousand_finished_commits_cost_nothing_at_a_look() -> None:
    stage = Stage()
    stage.pachyderm.put(INPUT_IMAGES)
    stage.poll()
    stage.works()
    stage.pachyderm.asked.clear()
    stage.poll()
    assert stage.pachyderm.asked == [1, 1, 1, 1]


def test_failed_commits_without_a_good_one_are_walked_once() -> None:
    stage = Stage(attempts=1)
    for _ in range(40):
        stage.pachyderm.put(TRAINING)
        stage.poll()
        stage.runner.fail(stage.run(), gives_back=True)
        stage.poll()
    stage.pachyderm.asked.clear()
    stage.poll()
    assert stage.pachyderm.asked == [1, 1, 1, 1]


def test_superseded_and_cancelled_sets_are_counted_apart_from_failures() -> None:
    stage = Stage(attempts=1)
    for _ in range(3):
        stage.pachyderm.put(TRAINING)
    stage.poll()
    stage.runner.fail(stage.run(), gives_back=True)
    stage.poll()
    text = generate_latest(stage.metrics.registry).decode()
    for decision, count in (("start", 1), ("failed", 1), ("end-superseded", 2), ("end-failed", 1)):
        assert f'pix2pix_trigger_decisions_total{{decision="{decision}",pipeline="{TRAIN}"}} {count}.0' in text


def test_a_promotions_set_is_opened_again_with_its_pictures_where_those_were_superseded_too() -> None:
    stage = Stage(policy="latest")
    stage.pachyderm.put(INPUT_IMAGES)
    newer = stage.pachyderm.put(INPUT_IMAGES)
    stage.controller.poll()
    stage.runner.forget(stage.run())
    assert stage.pachyderm.drop(newer)
    stage.pachyderm.promote(stage.pachyderm.heads[CANDIDATE])
    stage.poll()
    stage.works()
    for branch in (PREPROCESS_IMAGES, GENERATE_IMAGES):
        assert stage.pachyderm.newest_set(branch).error == ""
        assert stage.pachyderm.newest_set(branch).effects == 1


def test_a_run_that_is_gone_is_tried_again_at_once_three_times_and_then_after_the_back_off() -> None:
    stage = Stage(backoff=10.0)
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    for attempt in (2, 3, 4):
        stage.runner.forget(stage.run())
        stage.poll()
        assert stage.live() == [f"{TRAIN} {attempt}"]
    stage.runner.forget(stage.run())
    stage.poll()
    assert stage.live() == []
    assert stage.why() == ["attempt 4 was interrupted; the next one in 10 s"]
    stage.tick(10.1)
    assert stage.live() == [f"{TRAIN} 5"]
    assert stage.words("model", commit_set).count("vanished") == 4


def test_a_set_that_its_stage_ended_counts_among_the_failures_that_are_told() -> None:
    stage = Stage()
    ended = f'pix2pix_trigger_decisions_total{{decision="end-failed",pipeline="{TRAIN}"}}'
    assert f"{ended} 0.0" in generate_latest(stage.metrics.registry).decode()
    commit_set = stage.pachyderm.put(TRAINING)
    stage.poll()
    for repo in ("checkpoint", "model"):
        finish_with(stage.pachyderm, inspect(stage.pachyderm, repo, commit_set), "failed: no such parameter")
    stage.runner.end(stage.run(), Phase.FAILED, "no such parameter")
    stage.poll()
    assert f"{ended} 1.0" in generate_latest(stage.metrics.registry).decode()


def test_a_poll_groups_the_open_commits_into_work_items_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    stage.pachyderm.put(TRAINING)
    stage.pachyderm.put(INPUT_IMAGES)
    stage.poll()
    groupings = []

    def counted(*arguments: Any) -> Any:
        groupings.append(arguments)
        return ordered(*arguments)

    ordered = work_items._ordered
    monkeypatch.setattr(work_items, "_ordered", counted)
    snapshot, _, _ = stage.controller.poll()
    assert len(snapshot.items) == 2
    assert len(groupings) == 1
