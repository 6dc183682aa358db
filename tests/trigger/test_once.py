"""What `trigger --once` promises: everything open is worked on, with one effect each, and then it stops."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import World

from pachyderm.decisions import decisions_of
from pachyderm.repos import CANDIDATE, GENERATE_IMAGES, INPUT_IMAGES, MODEL, TRAINING
from workflows.trigger.assemble import CLOCK
from workflows.trigger.observe import Observer
from workflows.trigger.policy import defaults
from workflows.trigger.reconcile import reconcile
from workflows.trigger.world import End


def test_nothing_open_is_nothing_to_do(world: World) -> None:
    assert world.once() == ()
    assert world.began() == []


def test_a_commit_on_training_is_trained_and_exported_by_one_run(world: World) -> None:
    commit_set = world.train()
    (done,) = world.once()
    assert (done.commit_set, done.pipeline, done.state, done.error) == (commit_set, "training_and_export", "good", "")
    assert world.by("checkpoint", commit_set) == world.by("model", commit_set) == done.run
    words = [d.decision for d in decisions_of(world.output("model", commit_set).metadata)]
    assert words == ["start", "started"]


def test_on_kfp_local_a_run_is_one_process_per_task_and_what_it_says_is_shown(
    world: World, filling: dict[str, Path]
) -> None:
    world.on_kfp(filling)
    commit_set = world.train()
    (done,) = world.once()
    assert (done.state, done.run) == ("good", f"training_and_export-{commit_set}-1")
    assert world.by("model", commit_set) == done.run
    assert len({process for *_, process in world.began()}) == 2
    assert "training_and_export: fill: begins" in world.said


def test_on_kfp_local_a_run_that_is_killed_is_tried_again_and_its_claim_given_back(
    world: World, filling: dict[str, Path]
) -> None:
    world.on_kfp(filling)
    world.order("die")
    commit_set = world.train()
    (done,) = world.once()
    assert done.state == "good"
    metadata = world.output("checkpoint", commit_set).metadata
    assert metadata["over.1"] == f"run training_and_export-{commit_set}-1 is over: vanished"


def test_both_inputs_and_older_pictures_all_get_their_run(world: World) -> None:
    pictures = [world.draw("1"), world.draw("2")]
    training = world.train()
    done = {unit.commit_set: unit for unit in world.once()}
    assert {unit.state for unit in done.values()} == {"good"}
    assert set(done) == {*pictures, training}
    assert [world.by("generate_images", one) for one in pictures] == [done[one].run for one in pictures]


def test_under_latest_older_sets_end_as_superseded_and_the_newest_is_processed(world: World) -> None:
    sets = [world.train(str(number)) for number in range(4)]
    done = {unit.commit_set: unit for unit in world.once()}
    assert [done[one].state for one in sets] == ["superseded", "superseded", "superseded", "good"]
    assert all(f"by {sets[-1]}" in done[one].error for one in sets[:-1])
    assert len({run for _, _, run, _ in world.began()}) == 1


def test_a_set_that_its_own_work_opens_is_worked_on_too(world: World) -> None:
    picture, training = world.draw(), world.train()
    world.once()
    world.client.pfs.create_branch(
        branch=world.client.branch(MODEL), head=world.client.commit("model", training), provenance=[]
    )
    promoted = world.head(GENERATE_IMAGES).id
    assert promoted not in (picture, training)
    (done,) = world.once()
    assert (done.commit_set, done.pipeline, done.state) == (promoted, "preprocessing_and_generation", "good")


def test_a_failure_is_tried_again_within_the_budget_and_then_ends_everything_downstream(world: World) -> None:
    world.order("fail-checkpoint", "no luck")
    commit_set = world.train()
    (done,) = world.once(attempts=2)
    assert done.state == "failed"
    assert [run for repo, _, run, _ in world.began()] == [f"training_and_export-{commit_set}-{n}" for n in (1, 2)]
    error = world.output("checkpoint", commit_set).error
    assert error.startswith("failed: training_and_export failed 2 times, last in run training_and_export-")
    assert "RuntimeError: no luck" in error
    assert error.endswith(f"pix2pix retry {commit_set}")
    assert world.output("model", commit_set).error.startswith(f"failed: checkpoint@{commit_set}: ")
    (world.orders / "fail-checkpoint").unlink()
    good = world.train("better")
    (done,) = world.once()
    assert (done.commit_set, done.state) == (good, "good")


def test_what_an_attempt_finished_is_kept_by_the_next(world: World) -> None:
    world.order("fail-model", "not yet")
    commit_set = world.train()
    (done,) = world.once(attempts=2)
    assert done.state == "failed"
    assert world.output("checkpoint", commit_set).state == "good"
    assert world.by("checkpoint", commit_set).endswith("-1")


def test_a_run_that_dies_without_a_word_is_tried_again_and_its_claim_given_back(world: World) -> None:
    world.order("die")
    commit_set = world.train()
    (done,) = world.once()
    assert done.state == "good"
    assert world.by("checkpoint", commit_set) == f"training_and_export-{commit_set}-2"
    metadata = world.output("checkpoint", commit_set).metadata
    assert metadata["over.1"] == f"run training_and_export-{commit_set}-1 is over: vanished"


def test_a_run_that_succeeds_and_fills_nothing_is_no_success(world: World) -> None:
    world.order("do-nothing")
    commit_set = world.train()
    (done,) = world.once(attempts=1)
    assert done.state == "failed"
    assert "it succeeded and left" in done.error
    assert world.output("checkpoint", commit_set).state == "failed"


def test_an_input_that_somebody_leaves_open_is_said_and_left(world: World) -> None:
    commit = world.client.pfs.start_commit(branch=world.client.branch(TRAINING))
    assert world.once() == ()
    assert any(f"training@{commit.id} is not finished" in line for line in world.said)
    world.client.pfs.finish_commit(commit=world.client.commit("training", commit.id))
    (done,) = world.once()
    assert done.state == "good"


def test_a_set_on_both_inputs_is_two_units(world: World) -> None:
    with world.client.transaction.transaction() as transaction:
        training = world.client.pfs.start_commit(branch=world.client.branch(TRAINING))
        pictures = world.client.pfs.start_commit(branch=world.client.branch(INPUT_IMAGES))
    assert training.id == pictures.id == transaction.id
    for repo in ("training", "input_images"):
        world.client.pfs.finish_commit(commit=world.client.commit(repo, training.id))
    done = world.once()
    assert sorted((unit.pipeline, unit.state) for unit in done) == [
        ("preprocessing_and_generation", "good"),
        ("training_and_export", "good"),
    ]
    assert world.head(CANDIDATE).id == training.id


@pytest.mark.parametrize("policy", ["every"])
def test_the_parameters_file_of_the_input_may_choose_the_policy(world: World, policy: str) -> None:
    sets = [world.train("1"), world.commit(TRAINING, f'[trigger]\npolicy = "{policy}"\n', "/pix2pix.toml")]
    assert [unit.state for unit in world.once()] == ["good", "good"]
    assert [world.by("model", one).split("-")[1] for one in sets] == sets


def test_what_waits_in_the_end_for_an_open_input_is_said_and_left_whatever_stands_between(world: World) -> None:
    commit = world.client.pfs.start_commit(branch=world.client.branch(INPUT_IMAGES))
    world.client.pfs.create_branch(branch=world.client.branch(MODEL), head=world.client.head(CANDIDATE))
    assert world.once() == ()
    assert sum("is left" in line for line in world.said) == 2
    world.client.pfs.finish_commit(commit=world.client.commit("input_images", commit.id))
    assert {unit.state for unit in world.once()} == {"good"}


def test_the_policy_of_an_input_counts_only_once_the_input_is_there(world: World) -> None:
    first = world.train("1")
    observer = Observer(world.client, world.place.runner, defaults(), 0, "tests:1", CLOCK)
    second = world.client.pfs.start_commit(branch=world.client.branch(TRAINING))
    assert reconcile(observer.look()).actions == ()
    content = b'[trigger]\npolicy = "every"\n'
    world.client.pfs.put_file_from_bytes(commit=second, path="/pix2pix.toml", data=content)
    world.client.pfs.finish_commit(commit=second)
    assert reconcile(observer.look()).actions == ()
    third = world.commit(TRAINING, '[trigger]\npolicy = "latest"\n', "/pix2pix.toml")
    ends = reconcile(observer.look()).actions
    assert [(end.unit.commit_set, end.error) for end in ends if isinstance(end, End)] == [
        (one, f"superseded: by {third}") for one in (first, second.id)
    ]


def test_a_parameters_file_that_no_parser_takes_stops_nothing_else(world: World) -> None:
    world.commit(TRAINING, "x = " + "[" * 5000, "/pix2pix.toml")
    world.draw()
    assert {unit.state for unit in world.once()} == {"good"}


def test_what_stands_behind_a_set_that_waits_for_an_open_input_is_left_too(world: World) -> None:
    good = world.draw()
    world.once()
    world.client.pfs.start_commit(branch=world.client.branch(INPUT_IMAGES))
    earlier = world.client.commit("input_images", good)
    world.client.pfs.create_branch(branch=world.client.branch(INPUT_IMAGES), head=earlier)
    assert world.once() == ()
    assert any("is older and open" in line for line in world.said)
