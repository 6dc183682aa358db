"""A stage keeps its result when Pachyderm goes away and comes back while it works."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_target import project_at, set_up_at
from served import Relay, Served, absentable
from stage_harness import StageHarness

from pachyderm.dag.repos import CHECKPOINT, INPUT_IMAGES, PREPROCESS_IMAGES, TRAINING
from pachyderm.queue import claims
from pachyderm.queue.claims import claims_of, heartbeats, live_claim, take


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served | Relay]:
    with absentable(tmp_path / "store") as server:
        yield server


@pytest.fixture
def remote(served: Served | Relay, tmp_path: Path) -> Iterator[StageHarness]:
    """A harness whose Pachyderm is a server at an address."""
    target = project_at(f"grpc://{served.address}", tmp_path)
    with set_up_at(target) as client:
        yield StageHarness(client, target, tmp_path)


def test_a_result_that_is_ready_while_pachyderm_is_away_is_published_when_it_is_back(
    remote: StageHarness, served: Served | Relay
) -> None:
    commit_set = remote.put(INPUT_IMAGES, {"/a.jpg": "A"})
    remote.fail = lambda name: served.leave(0.7)
    filled = remote.fill("resize", commit_set)
    assert (filled.id, filled.state) == (commit_set, "good")
    assert remote.content(filled) == {"/a.png": "small(A)"}
    assert [name for name, _ in remote.worked] == ["resize"]
    assert len(claims_of(remote.output(PREPROCESS_IMAGES, commit_set).metadata)) == 1


def test_the_heartbeats_of_a_claim_continue_after_an_absence(
    remote: StageHarness, served: Served | Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RENEW_EVERY", 0.02)
    commit_set = remote.put(TRAINING, {"/a.png": "A"})
    commit = remote.output(CHECKPOINT, commit_set)
    claim = take(remote.client, commit, "run", "1")
    assert claim is not None

    def heartbeat() -> str | None:
        seen = live_claim(remote.output(CHECKPOINT, commit_set).metadata)
        assert seen is not None
        return seen.alive

    def another_than(before: str | None) -> str | None:
        end = time.monotonic() + 20
        while (latest := heartbeat()) == before:
            assert time.monotonic() < end, "no heartbeat"
        return latest

    with heartbeats(remote.client, commit, claim):
        another_than(None)
        served.leave(0.5)
        another_than(another_than(heartbeat()))
