"""The model in use stays while a training waits, works, fails or makes nothing."""

from __future__ import annotations

import pytest
from stage_harness import StageHarness

from pachyderm.dag.repos import CANDIDATE, MODEL, TRAINING
from pachyderm.errors import CommitFailedError, PermanentError


def in_use(harness: StageHarness) -> str:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export", commit_set=set_id)
    assert harness.head(MODEL).id == set_id
    return set_id


def test_a_training_that_fails_leaves_the_model_in_use_while_it_is_open_and_when_it_ended(
    harness: StageHarness,
) -> None:
    model = in_use(harness)
    set_id = harness.put(TRAINING, {"/a.png": "worse"})
    errors: list[Exception] = [OSError(28, "No space left on device"), PermanentError("no pair can be used")]

    def fail(name: str) -> None:
        assert harness.head(MODEL).id == model
        raise errors.pop(0)

    harness.fail = fail
    assert harness.head(MODEL).id == model
    with pytest.raises(OSError, match="No space left"):
        harness.fill("train", set_id)
    assert harness.head(MODEL).id == model
    with pytest.raises(CommitFailedError, match="no pair can be used"):
        harness.fill("train", set_id)
    assert harness.output(CANDIDATE, set_id).state == "failed"
    assert harness.head(MODEL).id == model


def test_a_training_without_pairs_leaves_the_model_in_use(harness: StageHarness) -> None:
    model = in_use(harness)
    set_id = harness.put(TRAINING, {"/pix2pix.toml": "size=32"}, mirror=True)
    harness.run("train", "export", commit_set=set_id)
    candidate = harness.output(CANDIDATE, set_id)
    assert (candidate.state, harness.record(candidate).outcome) == ("good", "empty")
    assert harness.head(MODEL).id == model
