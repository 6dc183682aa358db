"""The rules of `reconcile`, one by one, on an in-memory Pachyderm and runner and with a simulated clock."""

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


class SimulatedTrigger:
    """A trigger on the fakes, and a simulated clock."""

    def __init__(self, max_concurrent_runs: int = 9, atomic_start: bool = True, **policy: object) -> None:
        self.steady, self.wall = 0.0, 1_700_000_000.0
        self.pachyderm = FakePachyderm(lambda: self.wall)
        self.runner = FakeRunner(self.pachyderm, lambda: self.wall, atomic_start)
        self.policies: dict[str, Policy] = {
            name: replace(entry, **policy)  # type: ignore[arg-type]
            for name, entry in defaults().items()
        }
        self.max_concurrent_runs = max_concurrent_runs
        self.metrics = Metrics(lambda: self.steady, lambda: self.wall)
        self.controller = self.new_controller("t:1")
        self.plan = ActionPlan((), ())

    def new_controller(self, by: str) -> Controller:
        clock = Clock(lambda: self.steady, lambda: self.wall)
        settings = Settings(self.policies, self.max_concurrent_runs, 2.0, by)
        return Controller(
            self.pachyderm, self.runner, NoElection(), settings, clock, lambda seconds: False, self.metrics
        )

    def poll(self) -> None:
        """Poll until no action has an immediate effect."""
        for _ in range(50):
            _, self.plan, done = self.controller.poll()
            if not done:
                return
        raise AssertionError("hot loop")

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
        """Let a run do all of its work."""
        for _ in range(8):
            if not self.runner.runs[run or self.run()].state.over:
                self.runner.advance(run or self.run())
                self.pachyderm.check()
            if run == "" and not self.runner.live():
                break
        self.poll()

    def why(self) -> list[str]:
        return [entry.why for entry in self.plan.waiting]

    def error(self, repo: str, commit_set: str) -> str:
        return self.pachyderm.rows[repo, commit_set].error

    def words(self, repo: str, commit_set: str) -> list[str]:
        return [d.decision for d in decisions_of(self.pachyderm.rows[repo, commit_set].metadata)]


def test_back_off_doubles_by_the_observers_clock_whatever_the_wall_clock_does() -> None:
    trigger = SimulatedTrigger(backoff=10.0)
    trigger.pachyderm.put(TRAINING)
    trigger.poll()
    trigger.runner.fail(trigger.run(), gives_back=True)
    trigger.poll()
    assert trigger.why() == ["attempt 1 failed; the next one in 10 s"]
    assert trigger.plan.next_poll == pytest.approx(10.0)
    trigger.wall -= 3600
    trigger.tick(9.9)
    assert trigger.live() == []
    trigger.tick(0.2)
    assert trigger.live() == [f"{TRAIN} 2"]
    trigger.runner.fail(trigger.run(), gives_back=False)
    trigger.poll()
    trigger.tick(19.9)
    assert trigger.live() == []
    trigger.tick(0.2)
    assert trigger.live() == [f"{TRAIN} 3"]


def test_a_clock_that_jumps_forward_after_a_restart_shortens_a_wait_and_never_lengthens_it() -> None:
    trigger = SimulatedTrigger(backoff=10.0)
    trigger.pachyderm.put(TRAINING)
    trigger.poll()
    trigger.runner.fail(trigger.run(), gives_back=True)
    trigger.poll()
    trigger.wall -= 3600  # the run ended "in an hour"
    trigger.controller = trigger.new_controller("t:2")
    trigger.poll()
    assert trigger.why() == ["attempt 1 failed; the next one in 10 s"]
    trigger.tick(10.1)
    assert trigger.live() == [f"{TRAIN} 2"]


def test_the_budget_counts_failures_and_neither_vanished_nor_interrupted_runs() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=2)
    commit_set = trigger.pachyderm.put(TRAINING)
    for phase in (Phase.INTERRUPTED, Phase.FAILED, Phase.VANISHED, Phase.FAILED):
        trigger.poll()
        trigger.runner.end(trigger.run(), phase, "because")
    trigger.poll()
    assert trigger.live() == []
    assert trigger.error("checkpoint", commit_set).startswith(
        f"failed: {TRAIN} failed 2 times, last in run run-0004: because"
    )
    assert trigger.error("model", commit_set).startswith(f"failed: checkpoint@{commit_set}:")
    assert trigger.words("model", commit_set).count("start") == 4


def test_repeated_interruptions_back_off_like_failures() -> None:
    trigger = SimulatedTrigger(backoff=10.0)
    trigger.pachyderm.put(TRAINING)
    for _ in range(4):
        trigger.poll()
        trigger.runner.end(trigger.run(), Phase.INTERRUPTED, "its trigger ended")
    trigger.poll()
    assert trigger.live() == []
    trigger.tick(10.1)
    assert trigger.live() == [f"{TRAIN} 5"]


def test_the_reason_of_an_attempt_names_what_ended_the_one_before() -> None:
    trigger = SimulatedTrigger(backoff=0.0, attempts=9)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    trigger.runner.fail(trigger.run(), gives_back=True)
    trigger.poll()
    trigger.runner.end(trigger.run(), Phase.VANISHED, "gone")
    trigger.poll()
    trigger.runner.forget(trigger.run())
    trigger.poll()
    decisions = decisions_of(trigger.pachyderm.rows["model", commit_set].metadata)
    assert [entry.reason for entry in decisions if entry.decision == "start"] == [
        f"open: checkpoint@{commit_set}, model@{commit_set}",
        "attempt 2: attempt 1 failed in run run-0001: ValueError: no luck",
        "attempt 3: attempt 2 vanished in run run-0002: gone",
        "attempt 4: attempt 3 vanished in run run-0003: run run-0003 was not found; it was deleted",
    ]


def test_the_reason_of_an_attempt_that_a_trigger_takes_over_names_what_ended_the_one_before() -> None:
    trigger = SimulatedTrigger(backoff=0.0)
    trigger.pachyderm.put(TRAINING)
    trigger.poll()
    trigger.runner.fail(trigger.run(), gives_back=True)
    trigger.runner.answers.append("lost")
    trigger.controller.poll()
    trigger.runner.forget(trigger.run())
    plan = reconcile(trigger.controller._builder.build())
    (start,) = [action for action in plan.actions if isinstance(action, Start)]
    assert (start.announced, start.reason) == (True, "attempt 2: attempt 1 failed in run run-0001: ValueError: no luck")


def test_a_terminated_run_ends_its_set_as_cancelled_without_a_retry() -> None:
    trigger = SimulatedTrigger()
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    trigger.runner.end(trigger.run(), Phase.TERMINATED)
    trigger.poll()
    assert trigger.error("checkpoint", commit_set).startswith("cancelled: run run-0001 was terminated")
    assert trigger.error("model", commit_set).startswith("cancelled: ")
    assert trigger.live() == []


def test_under_every_commit_sets_run_one_after_the_other_oldest_first() -> None:
    trigger = SimulatedTrigger()
    sets = [trigger.pachyderm.put(INPUT_IMAGES) for _ in range(3)]
    trigger.poll()
    for _ in sets:
        assert len(trigger.live()) == 1
        trigger.works()
    assert [key.commit_set for key in trigger.runner.created] == sets


def test_under_latest_a_run_that_works_is_never_stopped_for_a_newer_set() -> None:
    trigger = SimulatedTrigger()
    first = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    between = [trigger.pachyderm.put(TRAINING) for _ in range(5)]
    trigger.poll()
    assert trigger.live() == [f"{TRAIN} 1"]
    assert [trigger.error("model", entry).split()[-1] for entry in between[:-1]] == [between[-1]] * 4
    trigger.works()
    assert trigger.error("model", first) == ""
    assert [key.commit_set for key in trigger.runner.created] == [first, between[-1]]


def test_constant_arrivals_under_latest_are_still_trained() -> None:
    trigger = SimulatedTrigger()
    for number in range(40):
        trigger.pachyderm.put(TRAINING)
        trigger.poll()
        if number % 4 == 3:
            trigger.works(trigger.runner.live()[0].run)
    good = [row for row in trigger.pachyderm.chain(CANDIDATE) if not row.error and row.finished]
    assert len(good) >= 10


def test_a_burst_of_commits_under_latest_makes_one_run_and_names_what_superseded_each() -> None:
    trigger = SimulatedTrigger()
    sets = [trigger.pachyderm.put(TRAINING) for _ in range(300)]
    trigger.poll()
    assert [key.commit_set for key in trigger.runner.created] == [sets[-1]]
    assert {trigger.error("checkpoint", entry) for entry in sets[:-1]} == {f"superseded: by {sets[-1]}"}


def test_a_set_with_hyperparameters_of_its_own_is_never_superseded() -> None:
    trigger = SimulatedTrigger()
    own = trigger.pachyderm.put(TRAINING, move_only=True, own=True)
    newer = [trigger.pachyderm.put(TRAINING) for _ in range(2)]
    trigger.poll()
    assert [key.commit_set for key in trigger.runner.created] == [own]
    assert trigger.error("model", newer[0]).startswith("superseded")
    trigger.works()
    assert [key.commit_set for key in trigger.runner.created] == [own, newer[1]]


def test_a_set_with_hyperparameters_of_its_own_supersedes_nothing() -> None:
    trigger = SimulatedTrigger()
    older, covered = (trigger.pachyderm.put(TRAINING) for _ in range(2))
    own = trigger.pachyderm.put(TRAINING, move_only=True, own=True)
    trigger.poll()
    assert trigger.error("model", older) == f"superseded: by {covered}"
    trigger.works()
    trigger.works()
    assert [key.commit_set for key in trigger.runner.created] == [covered, own]


def test_a_set_is_superseded_by_one_that_makes_all_of_its_outputs() -> None:
    trigger = SimulatedTrigger(policy="latest")
    older, newer = (trigger.pachyderm.put(INPUT_IMAGES) for _ in range(2))
    promoted = trigger.pachyderm.promote(trigger.pachyderm.heads[CANDIDATE])
    trigger.poll()
    # The commit set of the promotion prepares no images; it is made from those of the newer one.
    assert {trigger.error(repo, older) for repo in ("preprocess_images", "generate_images")} == {
        f"superseded: by {newer}"
    }
    trigger.works()
    trigger.works()
    assert [key.commit_set for key in trigger.runner.created] == [newer, promoted]


def test_what_another_set_is_made_from_is_not_superseded() -> None:
    trigger = SimulatedTrigger(policy="latest")
    pictures = trigger.pachyderm.put(INPUT_IMAGES)
    promoted = trigger.pachyderm.promote(trigger.pachyderm.heads[CANDIDATE])
    assert trigger.pachyderm.rows["generate_images", promoted].provenance[0] == ("preprocess_images", pictures)
    trigger.poll()
    assert trigger.error("preprocess_images", pictures) == ""
    trigger.works()
    trigger.works()
    assert trigger.pachyderm.rows["generate_images", promoted].effects == 1


def test_what_was_superseded_by_a_set_that_was_dropped_is_opened_again() -> None:
    trigger = SimulatedTrigger()
    sets = [trigger.pachyderm.put(TRAINING) for _ in range(2)]
    trigger.controller.poll()
    trigger.runner.forget(trigger.run())
    assert trigger.pachyderm.drop(sets[1])
    trigger.poll()
    head = trigger.pachyderm.newest_set(CANDIDATE)
    assert head.id not in sets
    assert trigger.runner.created[-1].commit_set == head.id


def test_a_minimum_interval_keeps_the_starts_of_sets_apart_and_the_newest_is_run() -> None:
    trigger = SimulatedTrigger(minimum_interval=100.0)
    trigger.pachyderm.put(TRAINING)
    trigger.poll()
    trigger.works()
    newest = [trigger.pachyderm.put(TRAINING) for _ in range(2)][-1]
    trigger.poll()
    assert trigger.live() == []
    assert trigger.why() == ["minimum interval: 100 s left"]
    trigger.tick(99.0)
    assert trigger.live() == []
    trigger.tick(1.1)
    assert trigger.runner.created[-1].commit_set == newest


def test_no_more_runs_are_live_at_once_than_allowed() -> None:
    trigger = SimulatedTrigger(max_concurrent_runs=1)
    trigger.pachyderm.put(TRAINING, INPUT_IMAGES)
    trigger.poll()
    assert len(trigger.live()) == 1
    assert "max_concurrent_runs runs are live" in trigger.why()
    trigger.works()
    assert len(trigger.live()) == 1


def test_a_claim_without_a_heartbeat_counts_as_over_after_five_minutes_of_observation() -> None:
    trigger = SimulatedTrigger()
    commit_set = trigger.pachyderm.put(TRAINING)
    take(trigger.pachyderm, inspect(trigger.pachyderm, "checkpoint", commit_set), "stranger", "x")
    trigger.poll()
    assert trigger.why() == [f"run stranger is working on checkpoint@{commit_set}"]
    trigger.tick(STALE_AFTER - 1)
    trigger.pachyderm.edit_keys("checkpoint", commit_set, put={"alive.1": "7"})
    trigger.poll()
    trigger.tick(STALE_AFTER - 1)
    assert trigger.live() == []
    trigger.tick(1.5)
    assert trigger.live() == [f"{TRAIN} 1"]
    assert live_claim(trigger.pachyderm.rows["checkpoint", commit_set].metadata) is None


def test_an_input_that_failed_ends_what_is_made_from_it_in_the_same_way_naming_the_first_cause() -> None:
    trigger = SimulatedTrigger()
    commit_set = trigger.pachyderm.put(INPUT_IMAGES)
    promoted = trigger.pachyderm.promote(trigger.pachyderm.heads[CANDIDATE])
    for branch in (PREPROCESS_IMAGES, GENERATE_IMAGES):
        row = trigger.pachyderm.rows[branch.repo, commit_set]
        row.finishing = row.finished = True
        row.error = "failed: no picture in it"
    trigger.poll()
    assert trigger.error("generate_images", promoted) == f"failed: preprocess_images@{commit_set}: no picture in it"
    assert trigger.runner.created == []


def test_a_run_whose_commits_were_dropped_is_terminated_after_a_while() -> None:
    trigger = SimulatedTrigger()
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    run = trigger.run()
    assert trigger.pachyderm.drop(commit_set)
    trigger.tick(LINGER - 1)
    trigger.tick(LINGER - 2)
    assert trigger.runner.ended_by_trigger == []
    trigger.tick(3)
    assert trigger.runner.ended_by_trigger == [run]


def test_of_two_runs_of_one_attempt_the_one_with_the_claim_stays() -> None:
    trigger = SimulatedTrigger()
    trigger.pachyderm.put(TRAINING)
    trigger.runner.answers.append("twice")
    trigger.controller.poll()
    first, second = (state.run for state in trigger.runner.live())
    trigger.runner.advance(second)
    trigger.poll()
    assert trigger.runner.ended_by_trigger == [first]
    trigger.runner.advance(first)
    trigger.works(second)
    assert trigger.pachyderm.newest_set(CHECKPOINT).error == ""


def test_a_start_that_another_trigger_announced_is_given_a_minute() -> None:
    trigger = SimulatedTrigger(atomic_start=False)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.runner.answers.append("late")
    trigger.controller.poll()
    assert trigger.runner.late == [RunKey(TRAIN, commit_set, 1)]
    trigger.controller = trigger.new_controller("other:1")
    trigger.poll()
    assert trigger.why() == ["another trigger is starting attempt 1"]
    trigger.tick(CONFIRMED_WITHIN - 1)
    assert trigger.live() == []
    trigger.tick(1.5)
    assert trigger.live() == [f"{TRAIN} 1"]


def test_ten_thousand_finished_commits_cost_nothing_at_a_poll() -> None:
    trigger = SimulatedTrigger()
    trigger.pachyderm.put(INPUT_IMAGES)
    trigger.poll()
    trigger.works()
    trigger.pachyderm.asked.clear()
    trigger.poll()
    assert trigger.pachyderm.asked == [1, 1, 1, 1]


def test_failed_commits_without_a_good_one_are_walked_once() -> None:
    trigger = SimulatedTrigger(attempts=1)
    for _ in range(40):
        trigger.pachyderm.put(TRAINING)
        trigger.poll()
        trigger.runner.fail(trigger.run(), gives_back=True)
        trigger.poll()
    trigger.pachyderm.asked.clear()
    trigger.poll()
    assert trigger.pachyderm.asked == [1, 1, 1, 1]


def test_superseded_and_cancelled_sets_are_counted_apart_from_failures() -> None:
    trigger = SimulatedTrigger(attempts=1)
    for _ in range(3):
        trigger.pachyderm.put(TRAINING)
    trigger.poll()
    trigger.runner.fail(trigger.run(), gives_back=True)
    trigger.poll()
    text = generate_latest(trigger.metrics.registry).decode()
    for decision, count in (("start", 1), ("failed", 1), ("end-superseded", 2), ("end-failed", 1)):
        assert f'pix2pix_trigger_decisions_total{{decision="{decision}",pipeline="{TRAIN}"}} {count}.0' in text


def test_a_promotions_set_is_opened_again_with_its_pictures_if_those_were_superseded_too() -> None:
    trigger = SimulatedTrigger(policy="latest")
    trigger.pachyderm.put(INPUT_IMAGES)
    newer = trigger.pachyderm.put(INPUT_IMAGES)
    trigger.controller.poll()
    trigger.runner.forget(trigger.run())
    assert trigger.pachyderm.drop(newer)
    trigger.pachyderm.promote(trigger.pachyderm.heads[CANDIDATE])
    trigger.poll()
    trigger.works()
    for branch in (PREPROCESS_IMAGES, GENERATE_IMAGES):
        assert trigger.pachyderm.newest_set(branch).error == ""
        assert trigger.pachyderm.newest_set(branch).effects == 1


def test_a_vanished_run_is_retried_at_once_three_times_and_then_after_the_back_off() -> None:
    trigger = SimulatedTrigger(backoff=10.0)
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    for attempt in (2, 3, 4):
        trigger.runner.forget(trigger.run())
        trigger.poll()
        assert trigger.live() == [f"{TRAIN} {attempt}"]
    trigger.runner.forget(trigger.run())
    trigger.poll()
    assert trigger.live() == []
    assert trigger.why() == ["attempt 4 was interrupted; the next one in 10 s"]
    trigger.tick(10.1)
    assert trigger.live() == [f"{TRAIN} 5"]
    assert trigger.words("model", commit_set).count("vanished") == 4


def test_a_set_that_its_stage_ended_counts_among_the_reported_failures() -> None:
    trigger = SimulatedTrigger()
    ended = f'pix2pix_trigger_decisions_total{{decision="end-failed",pipeline="{TRAIN}"}}'
    assert f"{ended} 0.0" in generate_latest(trigger.metrics.registry).decode()
    commit_set = trigger.pachyderm.put(TRAINING)
    trigger.poll()
    for repo in ("checkpoint", "model"):
        finish_with(trigger.pachyderm, inspect(trigger.pachyderm, repo, commit_set), "failed: no such parameter")
    trigger.runner.end(trigger.run(), Phase.FAILED, "no such parameter")
    trigger.poll()
    assert f"{ended} 1.0" in generate_latest(trigger.metrics.registry).decode()


def test_a_poll_groups_the_open_commits_into_work_items_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trigger = SimulatedTrigger()
    trigger.pachyderm.put(TRAINING)
    trigger.pachyderm.put(INPUT_IMAGES)
    trigger.poll()
    groupings = []

    def counted(*arguments: Any) -> Any:
        groupings.append(arguments)
        return ordered(*arguments)

    ordered = work_items._ordered
    monkeypatch.setattr(work_items, "_ordered", counted)
    snapshot, _, _ = trigger.controller.poll()
    assert len(snapshot.items) == 2
    assert len(groupings) == 1
