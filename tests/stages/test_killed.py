"""A stage that is killed at any of its requests: the next attempt finishes, and nothing tells the two apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from dying import Killed, living
from stage_harness import House

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


def prepared(house: House, stage: str, number: int) -> str:
    """A commit set whose output of `stage` is open, with a good ancestor."""
    if stage == "resize":
        set_id = house.put(INPUT_IMAGES, {"/a.jpg": "1", "/n.jpg": str(number)})
    else:
        set_id = house.put(TRAINING, {"/a.png": f"B{number}"})
        if stage == "export":
            house.fill("train", set_id)
    return set_id


def attempt_that_dies(
    house: House, monkeypatch: pytest.MonkeyPatch, stage: str, set_id: str, last: int, answered: bool
) -> list[str]:
    """Run a stage until it dies at its `last` request; the requests it made. Empty where it lived."""
    with living(monkeypatch, last, answered) as life:
        client = house.client.another()
        try:
            fill_set(client, house.stages()[stage], set_id, {}, replace(house.attempt("dies")))
        except Killed:
            return life.requests
        finally:
            client.close()
    return []


def requests_of(house: House, monkeypatch: pytest.MonkeyPatch, stage: str) -> int:
    set_id = prepared(house, stage, 0)
    with living(monkeypatch) as life:
        client = house.client.another()
        fill_set(client, house.stages()[stage], set_id, {}, house.attempt("whole"))
        client.close()
    return len(life.requests)


def deaths(house: House, monkeypatch: pytest.MonkeyPatch, stage: str, every: int) -> Iterator[tuple[int, bool]]:
    total = requests_of(house, monkeypatch, stage)
    assert total > 10
    for last in range(1, total + 1, every):
        yield last, False
        yield last, True


def check_all(house: House, monkeypatch: pytest.MonkeyPatch, stage: str, every: int) -> int:
    branch, want = CASES[stage]
    kills = 0
    for number, (last, answered) in enumerate(deaths(house, monkeypatch, stage, every), start=1):
        set_id = prepared(house, stage, number)
        in_use = house.head(MODEL).id
        died_at = attempt_that_dies(house, monkeypatch, stage, set_id, last, answered)
        kills += bool(died_at)
        commit = house.output(branch, set_id)
        where = f"killed {'after' if answered else 'before'} request {last} ({died_at[-1:]})"
        if commit.state == "open" and stage == "export":
            assert house.head(MODEL).id == in_use, f"{where}: promoted without its model being finished"
        claim = live_claim(commit.metadata)
        if claim is not None:
            give_back(house.client, commit, claim.number, "its run is over")
        filled = house.fill(stage, set_id, run="next")
        expected = {path: text.format(n=number) for path, text in want.items()}
        assert filled.state == "good", where
        assert house.content(filled) == expected, where
        assert set(house.record(filled).files) == set(content(files(house.client, filled.repo, filled.id))), where
        assert claims_of(house.output(branch, set_id).metadata)[-1].over is not None, where
        if stage == "export":
            assert house.head(MODEL).id == set_id, where
    return kills


@pytest.mark.parametrize("stage", list(CASES))
def test_a_stage_killed_at_some_of_its_requests_is_finished_by_the_next_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    assert check_all(house, monkeypatch, stage, every=7) > 3


@pytest.mark.long
@pytest.mark.parametrize("stage", list(CASES))
def test_a_stage_killed_at_every_request_is_finished_by_the_next_attempt(
    house: House, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    print(f"{stage}: {check_all(house, monkeypatch, stage, every=1)} kills")  # noqa: T201
