"""A run's own hyperparameters: they are there before their commit set, and shape no other."""

from __future__ import annotations

import contextlib

import pytest
from dying import living
from stage_harness import StageHarness
from test_reader_view import Watched

from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.queue.commit_sets import open_fresh, own_parameters_key


def test_hyperparameters_are_there_before_anybody_sees_their_commit_set(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = harness.put(TRAINING, {"/a.png": "A"})
    harness.fill("train", first)
    complete: list[bool] = []

    def look() -> None:
        newest = harness.head(CHECKPOINT).id
        if newest != first:
            complete.append(own_parameters_key(newest) in harness.head(TRAINING).metadata)

    with living(monkeypatch) as life, contextlib.closing(harness.client.another()) as client:
        life.requests = Watched(look)
        open_fresh(client, TRAINING, {"train": {"size": "32"}})
    look()
    assert len(complete) > 1 and all(complete)


def test_hyperparameters_of_one_commit_set_shape_no_other(harness: StageHarness) -> None:
    harness.put(TRAINING, {"/a.png": "A"})
    harness.fill("train")
    own = harness.fill("train", train={"size": "32"})
    harness.code = "other code"
    plain = harness.fill("train", "new")
    assert [harness.content(commit) for commit in (own, plain)] == [
        {"/weights": "weights(A;32)"},
        {"/weights": "weights(A;64)"},
    ]
