"""`why` and `retry`: decisions stay with the commits, and an ended commit is followed by a new one, never changed."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
from click.testing import CliRunner
from conftest import TriggerHarness, configuration

from cli.runs.retry import retry as retry_command
from cli.runs.why import why as why_command
from pachyderm.client.branches import BranchName
from pachyderm.dag.repos import CANDIDATE, GENERATE_IMAGES, MODEL
from pachyderm.errors import RequestError
from pachyderm.queue.blockers import waiting
from pachyderm.queue.decisions import Decision, record, stamp
from pachyderm.queue.retry import retry
from pachyderm.record.explain import explain


def again(harness: TriggerHarness, commit_set: str) -> tuple[str, bool]:
    done = retry(harness.client, commit_set, "tests", time.time())
    return done.commit_set, done.fresh


def failed(harness: TriggerHarness) -> str:
    harness.order("fail-model", "no luck")
    commit_set = harness.train()
    (done,) = harness.once(attempts=1)
    assert done.state == "failed"
    (harness.orders / "fail-model").unlink()
    return commit_set


def test_a_set_that_failed_is_followed_by_a_fresh_one_for_the_newest_inputs(harness: TriggerHarness) -> None:
    commit_set = failed(harness)
    fresh, is_fresh = again(harness, commit_set)
    assert is_fresh
    assert fresh != commit_set
    last = explain(harness.client, commit_set, 0.0).decisions[-1]
    assert (last.decision, last.by) == ("retried", "tests")
    assert last.reason == f"the fresh commit set {fresh} runs it again"
    (done,) = harness.once()
    assert (done.commit_set, done.state) == (fresh, "good")
    assert harness.output("model", commit_set).state == "failed"


def test_an_open_set_is_retried_and_its_failures_no_longer_count(harness: TriggerHarness) -> None:
    harness.order("fail-model", "no luck")
    commit_set = harness.train()
    assert again(harness, commit_set) == (commit_set, False)
    (done,) = harness.once(attempts=1)
    assert done.state == "failed"


def test_a_retry_in_the_middle_of_a_back_off_starts_at_once(harness: TriggerHarness) -> None:
    from workflows.trigger import wiring

    harness.order("fail-model", "no luck")
    commit_set = harness.train()
    slow = configuration(attempts=2, backoff=3600.0)
    shown: list[str] = []

    def show(line: str) -> None:
        shown.append(line)

    runner = harness.context.runner
    assert runner is not None
    original, polls = runner.poll, [0]

    def poll() -> bool:
        polls[0] += 1
        if polls[0] == 1:
            (harness.orders / "fail-model").unlink()
            again(harness, commit_set)
        return original()

    runner.poll = poll  # type: ignore[method-assign]
    (done,) = wiring.once(replace(harness.context, show=show), slow)
    assert done.state == "good"
    words = [decision.decision for decision in explain(harness.client, commit_set, 0.0).decisions]
    assert words == ["start", "started", "failed", "retry", "start", "started"]


def test_a_set_that_only_a_promotion_opened_is_opened_again_by_the_model(harness: TriggerHarness) -> None:
    training, _ = harness.train(), harness.draw()
    harness.once()
    harness.client.pfs.create_branch(
        branch=harness.client.branch(MODEL), head=harness.client.commit("model", training), provenance=[]
    )
    promoted = harness.head(GENERATE_IMAGES).id
    harness.order("fail-generate_images", "no luck")
    assert harness.once(attempts=1)[0].state == "failed"
    (harness.orders / "fail-generate_images").unlink()
    fresh, is_fresh = again(harness, promoted)
    assert is_fresh
    assert harness.head(GENERATE_IMAGES).id == fresh
    assert harness.head(CANDIDATE).id == harness.head(MODEL).id == training
    assert harness.once()[0].state == "good"


def test_a_set_keeps_its_own_hyperparameters_when_it_is_retried(harness: TriggerHarness) -> None:
    from pachyderm.dag.repos import TRAINING
    from pachyderm.queue.commit_sets import open_fresh, own_parameters

    harness.train()
    harness.once()
    own = open_fresh(harness.client, TRAINING, {"train": {"max_steps": 5}})
    harness.order("fail-model", "no luck")
    assert harness.once(attempts=1)[0].state == "failed"
    fresh, _ = again(harness, own)
    assert own_parameters(harness.client, harness.output("checkpoint", fresh)) == {"train": {"max_steps": 5}}


def test_an_older_set_is_refused_naming_what_covers_it_and_the_way_back(harness: TriggerHarness) -> None:
    commit_set = failed(harness)
    newer = harness.train("newer")
    harness.once()
    with pytest.raises(RequestError, match=f"covered by the newer model@{newer}.*pix2pix revert training"):
        again(harness, commit_set)


def test_a_commit_set_without_our_outputs_is_refused(harness: TriggerHarness) -> None:
    harness.client.pfs.create_repo(repo=harness.client.repo("other"))
    foreign = harness.commit(BranchName("other", "master"))
    with pytest.raises(RequestError, match="no output commit that a run could fill"):
        again(harness, foreign)
    with pytest.raises(RequestError, match=r"commit set \w+ not found"):
        again(harness, "0" * 32)


def test_why_prints_decisions_claims_ends_and_what_is_waited_for(harness: TriggerHarness) -> None:
    commit_set = failed(harness)
    explanation = explain(harness.client, commit_set, 0.0)
    assert [d.decision for d in explanation.decisions] == ["start", "started", "failed", "failed"]
    assert explanation.decisions[0].by == "tests:1"
    assert "RuntimeError: no luck" in explanation.decisions[2].reason
    checkpoint, model = explanation.commits
    assert (checkpoint.state, model.state) == ("good", "failed")
    assert checkpoint.claims == ((1, f"training_and_export-{commit_set}-1", "good"),)
    newer = harness.train("next")
    (first, second) = explain(harness.client, newer, 0.0).commits
    assert first.waits_for == "a run: pix2pix trigger, or pix2pix run"
    assert second.waits_for.startswith(f"its input checkpoint@{newer}")


@pytest.mark.parametrize(
    ("ago", "message"), [(-5.0, "0 s"), (40.0, "40 s"), (119.0, "119 s"), (720.0, "12 min"), (3 * 3600.0, "3 h")]
)
def test_a_run_that_starts_is_named_and_no_second_one_is_requested(
    harness: TriggerHarness, ago: float, message: str
) -> None:
    commit_set, then = harness.train(), 1_700_000_000.0

    def decided(slot: str, decision: str, run: str = "") -> None:
        start = Decision(stamp(then), decision, "", run, int(slot[0]), "tests:1")
        assert record(harness.client, harness.output("model", commit_set), slot, start)

    def reasons() -> list[str]:
        return [blocker.reason for blocker in waiting(harness.client, then + ago)]

    downstream = f"its input checkpoint@{commit_set}, which is open"
    decided("1.start", "start")
    assert reasons() == [f"a run, whose start was announced {message} ago", downstream]
    decided("1.started", "started", "X")
    assert reasons() == [f"run X started {message} ago, no stage at work yet", downstream]
    (first, _) = explain(harness.client, commit_set, then + ago).commits
    assert first.waits_for == f"run X started {message} ago, no stage at work yet"
    harness.client.edit_keys("checkpoint", commit_set, add={"run.1": '{"run": "X", "attempt": "a"}', "over.1": "good"})
    assert reasons() == [f"run X started {message} ago, its next stage has not begun", downstream]
    decided("1.over", "failed", "X")
    assert reasons() == ["a run: pix2pix trigger, or pix2pix run", downstream]


def test_the_commands_answer_with_one_document(harness: TriggerHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_set = failed(harness)
    monkeypatch.setenv("PACH_PROJECT", harness.target.project)
    address = ["--pachd", harness.target.pachd] if harness.target.pachd else ["--store", str(harness.target.store)]
    explanation = json.loads(
        CliRunner().invoke(why_command, ["--json", *address, commit_set[:12]], catch_exceptions=False).stdout
    )
    assert explanation["commit_set"] == commit_set
    assert {"time", "decision", "reason", "run"} <= set(explanation["decisions"][0])
    done = json.loads(
        CliRunner().invoke(retry_command, ["--json", *address, commit_set], catch_exceptions=False).stdout
    )
    assert done["commit_set"] != commit_set
    text = CliRunner().invoke(why_command, [*address, commit_set], catch_exceptions=False)
    assert f"model@{commit_set[:12]} is failed: failed: training_and_export failed 1 time" in text.stdout


@pytest.mark.parametrize("retried", ["the pictures' set", "the promotion's set"])
def test_a_set_whose_pictures_failed_is_followed_by_one_that_works_though_a_promotion_came_after(
    harness: TriggerHarness, retried: str
) -> None:
    harness.train()
    harness.once()
    harness.order("fail-preprocess_images", "no luck")
    pictures = harness.draw()
    harness.once(attempts=1)
    harness.client.pfs.create_branch(
        branch=harness.client.branch(MODEL), head=harness.client.head(CANDIDATE), provenance=[]
    )
    promoted = harness.head(GENERATE_IMAGES).id
    (done,) = harness.once(attempts=1)
    assert (done.commit_set, done.state) == (promoted, "failed")
    assert f"pix2pix retry {pictures}" in done.error
    (harness.orders / "fail-preprocess_images").unlink()
    fresh, _ = again(harness, pictures if "pictures" in retried else promoted)
    (done,) = harness.once(attempts=1)
    assert (done.commit_set, done.state) == (fresh, "good")
