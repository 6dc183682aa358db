"""What a stage promises when Pachyderm goes away and comes back while it works: its result is not lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served
from stage_harness import House

from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import CHECKPOINT, INPUT_IMAGES, PREPROCESS_IMAGES, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.queue import claims
from pachyderm.queue.claims import claims_of, heartbeats, live_claim, take


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path / "store") as made:
        yield made


@pytest.fixture
def far(served: Served, tmp_path: Path) -> Iterator[House]:
    """A house whose Pachyderm is at an address."""
    target = Target(pachd=f"grpc://{served.address}")
    with connect(target) as client:
        set_up(client)
        yield House(client, target, tmp_path)


def test_a_result_that_is_ready_while_pachyderm_is_away_is_published_when_it_is_back(
    far: House, served: Served
) -> None:
    commit_set = far.put(INPUT_IMAGES, {"/a.jpg": "A"})
    far.fail = lambda name: served.leave(0.7)
    filled = far.fill("resize", commit_set)
    assert (filled.id, filled.state) == (commit_set, "good")
    assert far.content(filled) == {"/a.png": "small(A)"}
    assert [name for name, _ in far.worked] == ["resize"]
    assert len(claims_of(far.output(PREPROCESS_IMAGES, commit_set).metadata)) == 1


def test_the_signs_of_life_of_a_claim_go_on_after_an_absence(
    far: House, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEW_EVERY", 0.02)
    commit_set = far.put(TRAINING, {"/a.png": "A"})
    commit = far.output(CHECKPOINT, commit_set)
    claim = take(far.client, commit, "run", "1")
    assert claim is not None

    def sign() -> str | None:
        seen = live_claim(far.output(CHECKPOINT, commit_set).metadata)
        assert seen is not None
        return seen.alive

    def another_than(before: str | None) -> str | None:
        end = time.monotonic() + 20
        while (now := sign()) == before:
            assert time.monotonic() < end, "no sign of life"
        return now

    with heartbeats(far.client, commit, claim):
        another_than(None)
        served.leave(0.5)
        another_than(another_than(sign()))
