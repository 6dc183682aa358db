"""Heartbeats: a stage sends them while it works, often enough for every observer."""

from __future__ import annotations

import time

import pytest
from stage_harness import StageHarness

from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.queue import claims
from pachyderm.queue.claims import RENEW_EVERY, HeartbeatMonitor, live_claim, take


def test_a_claim_that_is_renewed_is_never_stale_though_a_heartbeat_is_lost(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    take(harness.client, harness.output(CHECKPOINT, set_id), "run", "1")
    now = [1000.0]
    monitor = HeartbeatMonitor(lambda: now[0])
    for beat in range(3):
        harness.client.edit_keys("checkpoint", set_id, put={"alive.1": str(beat)})
        for _ in range(2):
            commit = harness.output(CHECKPOINT, set_id)
            claim = live_claim(commit.metadata)
            assert claim is not None and not monitor.stale(commit, claim)
            now[0] += RENEW_EVERY


def test_a_stage_gives_signs_of_life_while_it_works(harness: StageHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEW_EVERY", 0.02)
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    heartbeats: list[str] = []

    def work(name: str) -> None:
        end = time.monotonic() + 20
        while not heartbeats:
            assert time.monotonic() < end, "no heartbeat"
            claim = live_claim(harness.output(CHECKPOINT, set_id).metadata)
            heartbeats.extend([claim.alive] if claim is not None and claim.alive is not None else [])

    harness.fail = work
    assert harness.fill("train", set_id).state == "good"
    assert heartbeats
