"""What `why` tells and `retry` does: decisions stay with the commits, and what has ended is followed, never mended."""

from __future__ import annotations

import json
import time

import pytest
from click.testing import CliRunner
from conftest import World

from cli.retry import retry as retry_command
from cli.why import why as why_command
from pachyderm.errors import RequestError
from pachyderm.explaining import explain
from pachyderm.repos import CANDIDATE, GENERATE_IMAGES, MODEL, BranchName
from pachyderm.retrying import retry


def again(world: World, commit_set: str) -> tuple[str, bool]:
    done = retry(world.client, commit_set, "tests", time.time())
    return done.commit_set, done.fresh


def failed(world: World) -> str:
    world.order("fail-model", "no luck")
    commit_set = world.train()
    (done,) = world.once(attempts=1)
    assert done.state == "failed"
    (world.orders / "fail-model").unlink()
    return commit_set


def test_a_set_that_failed_is_followed_by_a_fresh_one_for_the_newest_inputs(world: World) -> None:
    commit_set = failed(world)
    fresh, is_fresh = again(world, commit_set)
    assert is_fresh
    assert fresh != commit_set
    (done,) = world.once()
    assert (done.commit_set, done.state) == (fresh, "good")
    assert world.output("model", commit_set).state == "failed"


def test_an_open_set_is_tried_again_and_its_failures_do_not_count_any_more(world: World) -> None:
    world.order("fail-model", "no luck")
    commit_set = world.train()
    assert again(world, commit_set) == (commit_set, False)
    (done,) = world.once(attempts=1)
    assert done.state == "failed"


def test_a_retry_in_the_middle_of_a_back_off_starts_at_once(world: World) -> None:
    from dataclasses import replace

    from conftest import configuration

    from workflows.trigger import assemble

    world.order("fail-model", "no luck")
    commit_set = world.train()
    slow = configuration(attempts=2, backoff=3600.0)
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)

    runner = world.place.runner
    assert runner is not None
    original, looks = runner.tend, [0]

    def tend() -> bool:
        looks[0] += 1
        if looks[0] == 1:
            (world.orders / "fail-model").unlink()
            again(world, commit_set)
        return original()

    runner.tend = tend  # type: ignore[method-assign]
    (done,) = assemble.once(replace(world.place, show=tell), slow)
    assert done.state == "good"
    words = [decision.decision for decision in explain(world.client, commit_set).decisions]
    assert words == ["start", "started", "failed", "retry", "start", "started"]


def test_a_set_that_only_a_promotion_opened_is_opened_again_by_the_model(world: World) -> None:
    training, _ = world.train(), world.draw()
    world.once()
    world.client.pfs.create_branch(
        branch=world.client.branch(MODEL), head=world.client.commit("model", training), provenance=[]
    )
    promoted = world.head(GENERATE_IMAGES).id
    world.order("fail-generate_images", "no luck")
    assert world.once(attempts=1)[0].state == "failed"
    (world.orders / "fail-generate_images").unlink()
    fresh, is_fresh = again(world, promoted)
    assert is_fresh
    assert world.head(GENERATE_IMAGES).id == fresh
    assert world.head(CANDIDATE).id == world.head(MODEL).id == training
    assert world.once()[0].state == "good"


def test_a_set_keeps_its_own_hyperparameters_when_it_is_retried(world: World) -> None:
    from pachyderm.commit_sets import open_fresh, own_parameters
    from pachyderm.repos import TRAINING

    world.train()
    world.once()
    own = open_fresh(world.client, TRAINING, {"train": {"max_steps": 5}})
    world.order("fail-model", "no luck")
    assert world.once(attempts=1)[0].state == "failed"
    fresh, _ = again(world, own)
    assert own_parameters(world.client, world.output("checkpoint", fresh)) == {"train": {"max_steps": 5}}


def test_an_older_set_is_refused_naming_what_covers_it_and_the_way_back(world: World) -> None:
    commit_set = failed(world)
    newer = world.train("newer")
    world.once()
    with pytest.raises(RequestError, match=f"covered by the newer model@{newer}.*pix2pix revert training"):
        again(world, commit_set)


def test_a_set_without_outputs_of_ours_is_refused(world: World) -> None:
    world.client.pfs.create_repo(repo=world.client.repo("other"))
    foreign = world.commit(BranchName("other", "master"))
    with pytest.raises(RequestError, match="no output commit that a run could fill"):
        again(world, foreign)
    with pytest.raises(RequestError, match="there is no commit set"):
        again(world, "0" * 32)


def test_why_tells_decisions_claims_ends_and_what_is_waited_for(world: World) -> None:
    commit_set = failed(world)
    told = explain(world.client, commit_set)
    assert [d.decision for d in told.decisions] == ["start", "started", "failed", "failed"]
    assert told.decisions[0].by == "tests:1"
    assert "RuntimeError: no luck" in told.decisions[2].reason
    checkpoint, model = told.commits
    assert (checkpoint.state, model.state) == ("good", "failed")
    assert checkpoint.claims == ((1, f"training_and_export-{commit_set}-1", "good"),)
    waiting = world.train("next")
    (first, second) = explain(world.client, waiting).commits
    assert first.waits_for == "a run: pix2pix trigger, or pix2pix run"
    assert second.waits_for.startswith(f"its input checkpoint@{waiting}")


def test_the_commands_answer_with_one_document(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_set = failed(world)
    monkeypatch.setenv("PACH_PROJECT", world.target.project)
    at = ["--pachd", world.target.pachd] if world.target.pachd else ["--store", str(world.target.store)]
    told = json.loads(CliRunner().invoke(why_command, ["--json", *at, commit_set[:12]], catch_exceptions=False).stdout)
    assert told["commit_set"] == commit_set
    assert {"time", "decision", "reason", "run"} <= set(told["decisions"][0])
    done = json.loads(CliRunner().invoke(retry_command, ["--json", *at, commit_set], catch_exceptions=False).stdout)
    assert done["commit_set"] != commit_set
    text = CliRunner().invoke(why_command, [*at, commit_set], catch_exceptions=False)
    assert f"model@{commit_set} is failed: failed: training_and_export failed 1 time" in text.stdout


@pytest.mark.parametrize("retried", ["the pictures' set", "the promotion's set"])
def test_a_set_whose_pictures_failed_is_followed_by_one_that_works_though_a_promotion_came_after(
    world: World, retried: str
) -> None:
    world.train()
    world.once()
    world.order("fail-preprocess_images", "no luck")
    pictures = world.draw()
    world.once(attempts=1)
    world.client.pfs.create_branch(branch=world.client.branch(MODEL), head=world.client.head(CANDIDATE), provenance=[])
    promoted = world.head(GENERATE_IMAGES).id
    (done,) = world.once(attempts=1)
    assert (done.commit_set, done.state) == (promoted, "failed")
    assert f"pix2pix retry {pictures}" in done.error
    (world.orders / "fail-preprocess_images").unlink()
    fresh, _ = again(world, pictures if "pictures" in retried else promoted)
    (done,) = world.once(attempts=1)
    assert (done.commit_set, done.state) == (fresh, "good")
