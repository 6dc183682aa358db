"""`trigger --once`: everything open is processed, with a single effect each, and then it stops."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import TriggerHarness

from pachyderm.client.commits import inspect
from pachyderm.dag.repos import CANDIDATE, GENERATE_IMAGES, INPUT_IMAGES, MODEL, TRAINING
from pachyderm.queue.decisions import decisions_of
from workflows.settings.policy import defaults
from workflows.trigger.actions import End
from workflows.trigger.reconcile import reconcile
from workflows.trigger.snapshot_builder import SnapshotBuilder
from workflows.trigger.wiring import CLOCK


def test_without_open_commits_it_stops_at_once(harness: TriggerHarness) -> None:
    assert harness.once() == ()
    assert harness.began() == []


def test_a_commit_on_training_is_trained_and_exported_by_one_run(harness: TriggerHarness) -> None:
    commit_set = harness.train()
    (done,) = harness.once()
    assert (done.commit_set, done.pipeline, done.state, done.error) == (commit_set, "training_and_export", "good", "")
    assert harness.by("checkpoint", commit_set) == harness.by("model", commit_set) == done.run
    words = [d.decision for d in decisions_of(harness.output("model", commit_set).metadata)]
    assert words == ["start", "started"]


def test_on_kfp_local_a_run_is_one_process_per_task_and_its_output_is_shown(
    harness: TriggerHarness, filling: dict[str, Path]
) -> None:
    harness.on_kfp(filling)
    commit_set = harness.train()
    (done,) = harness.once()
    assert (done.state, done.run) == ("good", f"training_and_export-{commit_set}-1")
    assert harness.by("model", commit_set) == done.run
    assert len({process for *_, process in harness.began()}) == 2
    assert "training_and_export: fill: begins" in harness.messages


def test_on_kfp_local_a_run_that_is_killed_is_retried_and_its_claim_given_back(
    harness: TriggerHarness, filling: dict[str, Path]
) -> None:
    harness.on_kfp(filling)
    harness.order("die")
    commit_set = harness.train()
    (done,) = harness.once()
    assert done.state == "good"
    metadata = harness.output("checkpoint", commit_set).metadata
    assert metadata["over.1"] == f"run training_and_export-{commit_set}-1 is over: vanished"


def test_both_inputs_and_older_pictures_all_get_their_run(harness: TriggerHarness) -> None:
    pictures = [harness.draw("1"), harness.draw("2")]
    training = harness.train()
    done = {item.commit_set: item for item in harness.once()}
    assert {item.state for item in done.values()} == {"good"}
    assert set(done) == {*pictures, training}
    assert [harness.by("generate_images", commit_set) for commit_set in pictures] == [
        done[commit_set].run for commit_set in pictures
    ]


def test_under_latest_older_sets_end_as_superseded_and_the_newest_is_processed(harness: TriggerHarness) -> None:
    sets = [harness.train(str(number)) for number in range(4)]
    done = {item.commit_set: item for item in harness.once()}
    assert [done[commit_set].state for commit_set in sets] == ["superseded", "superseded", "superseded", "good"]
    assert all(f"by {sets[-1]}" in done[commit_set].error for commit_set in sets[:-1])
    assert len({run for _, _, run, _ in harness.began()}) == 1


def test_a_set_that_its_own_work_opens_is_processed_too(harness: TriggerHarness) -> None:
    picture, training = harness.draw(), harness.train()
    harness.once()
    harness.client.pfs.create_branch(
        branch=harness.client.branch(MODEL), head=harness.client.commit("model", training), provenance=[]
    )
    promoted = harness.head(GENERATE_IMAGES).id
    assert promoted not in (picture, training)
    (done,) = harness.once()
    assert (done.commit_set, done.pipeline, done.state) == (promoted, "preprocessing_and_generation", "good")


def test_a_failure_is_retried_within_the_budget_and_then_ends_everything_downstream(
    harness: TriggerHarness,
) -> None:
    harness.order("fail-checkpoint", "no luck")
    commit_set = harness.train()
    (done,) = harness.once(attempts=2)
    assert done.state == "failed"
    assert [run for repo, _, run, _ in harness.began()] == [f"training_and_export-{commit_set}-{n}" for n in (1, 2)]
    error = harness.output("checkpoint", commit_set).error
    assert error.startswith("failed: training_and_export failed 2 times, last in run training_and_export-")
    assert "RuntimeError: no luck" in error
    assert error.endswith(f"pix2pix retry {commit_set}")
    assert harness.output("model", commit_set).error.startswith(f"failed: checkpoint@{commit_set}: ")
    (harness.orders / "fail-checkpoint").unlink()
    good = harness.train("better")
    (done,) = harness.once()
    assert (done.commit_set, done.state) == (good, "good")


def test_what_an_attempt_finished_is_kept_by_the_next(harness: TriggerHarness) -> None:
    harness.order("fail-model", "not yet")
    commit_set = harness.train()
    (done,) = harness.once(attempts=2)
    assert done.state == "failed"
    assert harness.output("checkpoint", commit_set).state == "good"
    assert harness.by("checkpoint", commit_set).endswith("-1")


def test_a_run_that_vanishes_is_retried_and_its_claim_given_back(harness: TriggerHarness) -> None:
    harness.order("die")
    commit_set = harness.train()
    (done,) = harness.once()
    assert done.state == "good"
    assert harness.by("checkpoint", commit_set) == f"training_and_export-{commit_set}-2"
    metadata = harness.output("checkpoint", commit_set).metadata
    assert metadata["over.1"] == f"run training_and_export-{commit_set}-1 is over: vanished"


def test_a_run_that_succeeds_and_fills_nothing_is_a_failure(harness: TriggerHarness) -> None:
    harness.order("do-nothing")
    commit_set = harness.train()
    (done,) = harness.once(attempts=1)
    assert done.state == "failed"
    assert "it succeeded but left" in done.error
    assert harness.output("checkpoint", commit_set).state == "failed"


def test_an_input_that_somebody_leaves_open_is_reported_and_left(harness: TriggerHarness) -> None:
    commit = harness.client.pfs.start_commit(branch=harness.client.branch(TRAINING))
    assert harness.once() == ()
    assert any(f"training@{commit.id} is not finished" in line for line in harness.messages)
    harness.client.pfs.finish_commit(commit=harness.client.commit("training", commit.id))
    (done,) = harness.once()
    assert done.state == "good"


def test_a_set_on_both_inputs_is_two_work_items(harness: TriggerHarness) -> None:
    with harness.client.transaction.transaction() as transaction:
        training = harness.client.pfs.start_commit(branch=harness.client.branch(TRAINING))
        pictures = harness.client.pfs.start_commit(branch=harness.client.branch(INPUT_IMAGES))
    assert training.id == pictures.id == transaction.id
    for repo in ("training", "input_images"):
        harness.client.pfs.finish_commit(commit=harness.client.commit(repo, training.id))
    done = harness.once()
    assert sorted((item.pipeline, item.state) for item in done) == [
        ("preprocessing_and_generation", "good"),
        ("training_and_export", "good"),
    ]
    assert harness.head(CANDIDATE).id == training.id


@pytest.mark.parametrize("policy", ["every"])
def test_the_parameters_file_of_the_input_may_choose_the_policy(harness: TriggerHarness, policy: str) -> None:
    sets = [harness.commit(TRAINING, f'[trigger]\npolicy = "{policy}"\n', "/pix2pix.toml"), harness.train("1")]
    assert [item.state for item in harness.once()] == ["good", "good"]
    assert [harness.by("model", commit_set).split("-")[1] for commit_set in sets] == sets


def test_a_work_item_that_waits_indirectly_for_an_open_input_is_reported_and_left(
    harness: TriggerHarness,
) -> None:
    commit = harness.client.pfs.start_commit(branch=harness.client.branch(INPUT_IMAGES))
    harness.client.pfs.create_branch(branch=harness.client.branch(MODEL), head=harness.client.head(CANDIDATE))
    assert harness.once() == ()
    assert sum("is left" in line for line in harness.messages) == 2
    harness.client.pfs.finish_commit(commit=harness.client.commit("input_images", commit.id))
    assert {item.state for item in harness.once()} == {"good"}


def superseded(builder: SnapshotBuilder) -> list[tuple[str, str]]:
    ends = reconcile(builder.build()).actions
    return [(end.item.commit_set, end.error) for end in ends if isinstance(end, End)]


def test_an_input_that_is_still_being_written_supersedes_nothing(harness: TriggerHarness) -> None:
    first = harness.train("1")
    builder = SnapshotBuilder(harness.client, harness.context.runner, defaults(), 0, "tests:1", CLOCK)
    second = harness.client.pfs.start_commit(branch=harness.client.branch(TRAINING))
    assert superseded(builder) == []
    harness.client.pfs.finish_commit(commit=second)
    inspect(harness.client, TRAINING.repo, second.id, wait=True)
    assert superseded(builder) == [(first, f"superseded: by {second.id}")]


def test_whether_a_commit_set_may_be_superseded_is_decided_by_its_own_input_commit(harness: TriggerHarness) -> None:
    first = harness.train("1")
    every = harness.commit(TRAINING, '[trigger]\npolicy = "every"\n', "/pix2pix.toml")
    latest = harness.commit(TRAINING, '[trigger]\npolicy = "latest"\n', "/pix2pix.toml")
    newest = harness.train("2")
    inspect(harness.client, TRAINING.repo, newest, wait=True)
    builder = SnapshotBuilder(harness.client, harness.context.runner, defaults(), 0, "tests:1", CLOCK)
    assert superseded(builder) == [(first, f"superseded: by {newest}"), (latest, f"superseded: by {newest}")]
    assert every not in {commit_set for commit_set, _ in superseded(builder)}


def test_the_attempts_of_a_set_are_those_of_its_own_input_commit(harness: TriggerHarness) -> None:
    harness.order("fail-generate_images", "no luck")
    sets = [harness.draw("1"), harness.commit(INPUT_IMAGES, "[trigger]\nattempts = 1\n", "/pix2pix.toml")]
    done = {item.commit_set: item for item in harness.once()}
    assert [done[commit_set].error.split(",")[0] for commit_set in sets] == [
        "failed: preprocessing_and_generation failed 3 times",
        "failed: preprocessing_and_generation failed 1 time",
    ]


def test_the_settings_of_one_pipeline_do_not_reach_the_other(harness: TriggerHarness) -> None:
    harness.commit(TRAINING, "[trigger]\nattempts = 1\n", "/pix2pix.toml")
    harness.once()
    harness.client.pfs.create_branch(branch=harness.client.branch(MODEL), head=harness.client.head(CANDIDATE))
    harness.once()
    pictures = [harness.draw("1"), harness.draw("2")]
    harness.order("fail-generate_images", "no luck")
    done = {item.commit_set: item for item in harness.once()}
    assert [done[commit_set].error.split(", ")[0] for commit_set in pictures] == [
        "failed: preprocessing_and_generation failed 3 times"
    ] * 2


def test_a_parameters_file_that_cannot_be_parsed_stops_nothing_else(harness: TriggerHarness) -> None:
    harness.commit(TRAINING, "x = " + "[" * 5000, "/pix2pix.toml")
    harness.draw()
    assert {item.state for item in harness.once()} == {"good"}


def test_work_items_behind_one_that_waits_for_an_open_input_are_left_too(harness: TriggerHarness) -> None:
    good = harness.draw()
    harness.once()
    harness.client.pfs.start_commit(branch=harness.client.branch(INPUT_IMAGES))
    earlier = harness.client.commit("input_images", good)
    harness.client.pfs.create_branch(branch=harness.client.branch(INPUT_IMAGES), head=earlier)
    assert harness.once() == ()
    assert any("is older and still open" in line for line in harness.messages)
