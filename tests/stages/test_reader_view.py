"""What readers see: an input once it has ended, and of an output commit nothing or all of one attempt's result."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from dying import living
from stage_harness import StageHarness

from pachyderm.client.commits import Commit, all_commits, inspect
from pachyderm.client.files import files
from pachyderm.dag.repos import CHECKPOINT, INPUT_IMAGES, PREPROCESS_IMAGES, TRAINING
from pachyderm.output import attempt
from pachyderm.output.finish import finish
from pachyderm.output.output_commit import fill_set
from pachyderm.output.publish import publish
from pachyderm.queue.claims import Claim, take


class Watched(list[str]):
    """The names of requests; before each of them is sent, somebody else looks."""

    def __init__(self, look: Callable[[], None]) -> None:
        super().__init__()
        self._look = look

    def append(self, name: str) -> None:
        self._look()
        super().append(name)


def test_a_reader_sees_nothing_or_all_of_a_result_after_every_request(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.put(INPUT_IMAGES, {"/a.jpg": "1", "/b.jpg": "2", "/c.jpg": "3"})
    before = frozenset(files(harness.client, "preprocess_images", harness.fill("resize").id).items())
    set_id = harness.put(INPUT_IMAGES, {"/a.jpg": "4", "/b.jpg": "5", "/d.jpg": "6"}, mirror=True)
    seen = []

    def look() -> None:
        seen.append(frozenset(files(harness.client, "preprocess_images", set_id).items()))

    with living(monkeypatch) as life, contextlib.closing(harness.client.another()) as client:
        life.requests = Watched(look)
        fill_set(client, harness.stages()["resize"], set_id, {}, harness.worker())
    look()
    assert harness.content(harness.output(PREPROCESS_IMAGES, set_id)) == {
        "/a.png": "small(4)",
        "/b.png": "small(5)",
        "/d.png": "small(6)",
    }
    assert set(seen) == {before, seen[-1]}


def test_a_commit_has_the_same_data_in_a_listing_and_inspected(harness: StageHarness) -> None:
    first = inspect(harness.client, TRAINING.repo, harness.put(TRAINING, {"/a.png": "four"}))
    harness.put(TRAINING, {"/b.png": "2"})
    filled = harness.fill("train", first.id)
    opened = next(all_commits(harness.client, CHECKPOINT.repo))
    for commit in (first, filled, opened):
        listed = list(all_commits(harness.client, commit.repo))
        assert inspect(harness.client, commit.repo, commit.id) in listed
    assert (first.bytes, filled.bytes > 0, opened.state, opened.bytes) == (4, True, "open", 0)


def test_a_paused_attempt_shows_nothing_in_the_commit_that_another_one_took_over(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    taken: list[Claim] = []
    visible: list[object] = []

    def pause(name: str) -> None:
        claim = take(harness.client, harness.output(CHECKPOINT, set_id), "other", "pod-2", over="no heartbeat")
        assert claim is not None
        taken.append(claim)

    def the_other_finishes(seconds: float) -> None:
        commit = harness.output(CHECKPOINT, set_id)
        visible.append(files(harness.client, commit.repo, commit.id))
        publish(harness.client, commit, {"/weights": b"of the other"}, lambda: None)
        finish(harness.client, commit, taken[0], {"fingerprint": "f" * 64}, gate=None, now=1.0)

    harness.fail = pause
    worker = replace(harness.worker("run"), clock=lambda: 0.0, pause=the_other_finishes)
    filled, _ = fill_set(harness.client, harness.stages()["train"], set_id, {}, worker)
    assert visible == [{}]
    assert harness.content(filled) == {"/weights": "of the other"}


def test_an_input_is_read_only_once_it_has_ended(harness: StageHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else completes the input as soon as the attempt waits for it."""
    opened = harness.client.pfs.start_commit(branch=harness.client.branch(TRAINING))
    harness.client.pfs.put_file_from_bytes(commit=opened, path="/a.png", data=b"A")

    def completed(client: Any, repo: str, commit_id: str, wait: bool = False) -> Commit:
        if wait and repo == TRAINING.repo:
            harness.client.pfs.put_file_from_bytes(commit=opened, path="/b.png", data=b"B")
            harness.client.pfs.finish_commit(commit=opened)
        return inspect(client, repo, commit_id, wait)

    monkeypatch.setattr(attempt, "inspect", completed)
    filled = harness.fill("train", opened.id)
    assert harness.content(filled) == {"/weights": "weights(A,B;64)"}
