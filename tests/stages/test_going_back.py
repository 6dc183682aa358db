"""Going back, by rolling back a model or reverting data, and forward again."""

from __future__ import annotations

import pytest
from stage_harness import StageHarness

from cli.console import moment
from cli.runs.overview import overview
from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.promotion import promote, promotions, rollback
from pachyderm.dag.repos import CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, MODEL, TRAINING
from pachyderm.dag.revert import revert
from pachyderm.errors import RequestError
from pachyderm.queue import open_commits, source_commit


def trained(harness: StageHarness, text: str) -> str:
    set_id = harness.put(TRAINING, {"/a.png": text})
    harness.run("train", "export", commit_set=set_id)
    harness.run("generate")
    return set_id


def test_rollback_goes_one_further_back_at_each_call_and_promotion_begins_anew(harness: StageHarness) -> None:
    first, second, third = (trained(harness, text) for text in "ABC")
    assert harness.head(MODEL).id == third
    assert rollback(harness.client, None, 10.0**10).after == second
    assert rollback(harness.client, None, 10.0**10 + 1).after == first
    in_use = overview(harness.client, 10.0**10 + 2).in_use
    assert in_use is not None and in_use["since"] == moment(10.0**10 + 1)
    with pytest.raises(RequestError, match="no model was promoted before"):
        rollback(harness.client, None, 10.0**10 + 2)
    fourth = trained(harness, "D")
    assert harness.head(MODEL).id == fourth
    assert rollback(harness.client, None, 10.0**10 + 3).after == third


def test_a_model_promoted_again_by_hand_stands_after_the_others(harness: StageHarness) -> None:
    first, second = (trained(harness, text) for text in "AB")
    assert promote(harness.client, first, 10.0**10).before == second
    assert [promotion.commit for promotion in promotions(harness.client)] == [first, second, first]
    assert rollback(harness.client, None, 10.0**10 + 1).after == second
    assert rollback(harness.client, None, 10.0**10 + 2).after == first
    with pytest.raises(RequestError, match="no model was promoted before"):
        rollback(harness.client, None, 10.0**10 + 3)


def test_rolling_back_brings_the_earlier_pictures_back_without_making_them(harness: StageHarness) -> None:
    trained(harness, "A")
    harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    harness.run("resize", "generate")
    first = harness.content(harness.head(GENERATE_IMAGES))
    trained(harness, "B")
    harness.worked.clear()
    rollback(harness.client, None, 10.0**10)
    harness.run("generate")
    assert harness.worked == []
    assert harness.content(harness.head(GENERATE_IMAGES)) == first
    assert harness.record(harness.head(GENERATE_IMAGES)).outcome == "reused"


def test_promoting_what_is_in_use_opens_nothing(harness: StageHarness) -> None:
    first = trained(harness, "A")
    before = harness.head(GENERATE_IMAGES).id
    move = promote(harness.client, None, 10.0**10)
    assert (move.before, move.after) == (first, first)
    assert harness.head(GENERATE_IMAGES).id == before


def test_open_failed_and_empty_models_are_not_promoted(harness: StageHarness) -> None:
    empty = harness.head(MODEL).id
    trained(harness, "A")
    opened = harness.put(TRAINING, {"/a.png": "B"})
    with pytest.raises(RequestError, match="it is open"):
        promote(harness.client, opened, 1.0)
    with pytest.raises(RequestError, match="holds no model"):
        promote(harness.client, empty, 1.0)
    with pytest.raises(RequestError, match="never promoted"):
        rollback(harness.client, opened, 1.0)


def test_a_promotion_that_was_begun_and_not_completed_does_not_count(harness: StageHarness) -> None:
    first = trained(harness, "A")
    harness.client.edit_keys("model", first, add={"promoted." + "b" * 32: '{"time": 1e11, "from": ""}'})
    assert len(promotions(harness.client)) == 1


def test_reverting_data_computes_nothing_and_keeps_the_later_commit(harness: StageHarness) -> None:
    first = trained(harness, "A")
    second = trained(harness, "B")
    harness.worked.clear()
    done = revert(harness.client, harness.output(TRAINING, first))
    assert (done.before, done.after) == (second, first)
    harness.run("train", "export")
    assert harness.worked == []
    assert harness.content(harness.head(CHECKPOINT)) == harness.content(harness.output(CHECKPOINT, first))
    assert harness.head(MODEL).id == done.commit_set
    assert revert(harness.client, harness.output(TRAINING, first)).commit_set is None
    assert harness.output(TRAINING, second).state == "good"


def test_only_inputs_are_reverted(harness: StageHarness) -> None:
    first = trained(harness, "A")
    with pytest.raises(RequestError, match="rollback"):
        revert(harness.client, harness.output(CHECKPOINT, first))


def test_an_unreadable_rollback_does_not_prevent_another(harness: StageHarness) -> None:
    first, second = (trained(harness, text) for text in "AB")
    harness.client.edit_keys("model", second, put={"rolledback." + "b" * 32: "{"})
    assert rollback(harness.client, None, 10.0**10).after == first


def test_an_input_is_not_reverted_while_its_newest_commit_is_open(harness: StageHarness) -> None:
    first = trained(harness, "A")
    trained(harness, "B")
    opened = harness.client.pfs.start_commit(branch=harness.client.branch(TRAINING)).id
    with pytest.raises(RequestError, match=f"{opened} is still open"):
        revert(harness.client, harness.output(TRAINING, first))
    harness.client.pfs.finish_commit(commit=harness.client.commit(TRAINING.repo, opened))
    assert revert(harness.client, harness.output(TRAINING, first)).after == first


def test_a_scan_inspects_what_many_open_commits_are_made_from_once(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (trained(harness, text) for text in "AB")
    harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    harness.run("resize", "generate")
    for move in range(6):
        promote(harness.client, (first, second)[move % 2], 10.0**10 + move)
    inspected: list[str] = []

    def counted(client: Connection, repo: str, commit_id: str) -> Commit:
        inspected.append(f"{repo}@{commit_id}")
        return inspect(client, repo, commit_id)

    for module in (open_commits, source_commit):
        monkeypatch.setattr(module, "inspect", counted)
    assert len(open_commits.OpenCommits(harness.client).scan()) == 6
    assert len(inspected) == len(set(inspected)) == 4, "two models, the prepared pictures and their input"
