"""A stage that is killed at any of its requests is finished by the next attempt, with the same result."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from dying import Killed, living
from stage_harness import StageHarness

from pachyderm.client.branches import BranchName
from pachyderm.client.files import content, files
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.output.output_commit import fill_set
from pachyderm.queue.claims import claims_of, give_back, live_claim

CASES: dict[str, tuple[BranchName, dict[str, str]]] = {
    "train": (CHECKPOINT, {"/weights": "weights(B{n};64)"}),
    "export": (CANDIDATE, {"/model": "model(weights(B{n};64);64)"}),
    "resize": (PREPROCESS_IMAGES, {"/a.png": "small(1)", "/n.png": "small({n})"}),
}


def prepared(harness: StageHarness, stage: str, number: int) -> str:
    """Return a commit set whose output commit of `stage` is open and has a good ancestor."""
    if stage == "resize":
        set_id = harness.put(INPUT_IMAGES, {"/a.jpg": "1", "/n.jpg": str(number)})
    else:
        set_id = harness.put(TRAINING, {"/a.png": f"B{number}"})
        if stage == "export":
            harness.fill("train", set_id)
    return set_id


def attempt_that_dies(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, stage: str, set_id: str, last: int, answered: bool
) -> list[str]:
    """Run a stage until it dies at its `last` request; return the requests it made, or none if it survived."""
    with living(monkeypatch, last, answered) as life:
        client = harness.client.another()
        try:
            fill_set(client, harness.stages()[stage], set_id, {}, harness.worker("dies"))
        except Killed:
            return life.requests
        finally:
            client.close()
    return []


def requests_of(harness: StageHarness, monkeypatch: pytest.MonkeyPatch, stage: str) -> int:
    set_id = prepared(harness, stage, 0)
    with living(monkeypatch) as life:
        client = harness.client.another()
        fill_set(client, harness.stages()[stage], set_id, {}, harness.worker("whole"))
        client.close()
    return len(life.requests)


def deaths(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, stage: str, every: int
) -> Iterator[tuple[int, bool]]:
    total = requests_of(harness, monkeypatch, stage)
    assert total > 10
    for last in range(1, total + 1, every):
        yield last, False
        yield last, True


def check_all(harness: StageHarness, monkeypatch: pytest.MonkeyPatch, stage: str, every: int) -> int:
    branch, want = CASES[stage]
    kills = 0
    for number, (last, answered) in enumerate(deaths(harness, monkeypatch, stage, every), start=1):
        set_id = prepared(harness, stage, number)
        in_use = harness.head(MODEL).id
        died_at = attempt_that_dies(harness, monkeypatch, stage, set_id, last, answered)
        kills += bool(died_at)
        commit = harness.output(branch, set_id)
        where = f"killed {'after' if answered else 'before'} request {last} ({died_at[-1:]})"
        if commit.state == "open" and stage == "export":
            assert harness.head(MODEL).id == in_use, f"{where}: promoted without its model being finished"
        claim = live_claim(commit.metadata)
        if claim is not None:
            give_back(harness.client, commit, claim.number, "its run has ended")
        filled = harness.fill(stage, set_id, run="next")
        expected = {path: text.format(n=number) for path, text in want.items()}
        assert filled.state == "good", where
        assert harness.content(filled) == expected, where
        assert set(harness.record(filled).files) == set(content(files(harness.client, filled.repo, filled.id))), where
        assert claims_of(harness.output(branch, set_id).metadata)[-1].over is not None, where
        if stage == "export":
            assert harness.head(MODEL).id == set_id, where
    return kills


@pytest.mark.parametrize("stage", list(CASES))
def test_a_stage_killed_at_some_of_its_requests_is_finished_by_the_next_attempt(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    assert check_all(harness, monkeypatch, stage, every=7) > 3


@pytest.mark.long
@pytest.mark.parametrize("stage", list(CASES))
def test_a_stage_killed_at_every_request_is_finished_by_the_next_attempt(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, stage: str, volume: Callable[[int, int], int]
) -> None:
    print(f"{stage}: {check_all(harness, monkeypatch, stage, every=100 // volume(100, 20))} kills")  # noqa: T201
