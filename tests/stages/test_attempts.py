"""Several attempts at one output commit have one effect: one attempt's files, never partly visible."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc
import pytest
from stage_harness import StageHarness

from pachyderm.client.commits import inspect
from pachyderm.client.files import files
from pachyderm.dag.gate_decision import GateDecision
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, MODEL, TRAINING
from pachyderm.errors import LostClaimError, PermanentError
from pachyderm.output import finish as finishing
from pachyderm.output.finish import finish
from pachyderm.output.output_commit import fill_set
from pachyderm.output.publish import differences, publish
from pachyderm.queue.claims import (
    STALE_AFTER,
    Claim,
    HeartbeatMonitor,
    claims_of,
    give_back,
    live_claim,
    predecessor,
    take,
)
from pachyderm.queue.commit_sets import fresh_set, opened_by_key


def opened(harness: StageHarness) -> str:
    return harness.put(TRAINING, {"/a.png": "A"})


def test_exactly_one_of_many_claimers_gets_the_claim(harness: StageHarness) -> None:
    commit = harness.output(CHECKPOINT, opened(harness))

    def claim(number: int) -> bool:
        client = harness.client.another()
        try:
            return take(client, commit, f"run {number}", "1") is not None
        finally:
            client.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(claim, range(16))) == 1


def test_of_two_takers_of_a_stale_claim_one_gets_it(harness: StageHarness) -> None:
    set_id = opened(harness)
    first = take(harness.client, harness.output(CHECKPOINT, set_id), "dead", "1")
    assert first is not None
    seen = harness.output(CHECKPOINT, set_id)
    taken = [take(harness.client, seen, run, "1", over="stale") for run in ("b", "c")]
    assert [claim is not None for claim in taken] == [True, False]
    claims = claims_of(harness.output(CHECKPOINT, set_id).metadata)
    assert [(claim.number, claim.holder, claim.over) for claim in claims] == [(1, "dead", "stale"), (2, "b", None)]


def test_a_claim_is_stale_only_after_the_observer_saw_no_heartbeat_for_long_enough(harness: StageHarness) -> None:
    set_id = opened(harness)
    take(harness.client, harness.output(CHECKPOINT, set_id), "run", "1")
    now = [1000.0]
    watch = HeartbeatMonitor(lambda: now[0])

    def stale() -> bool:
        commit = harness.output(CHECKPOINT, set_id)
        claim = live_claim(commit.metadata)
        assert claim is not None
        return watch.stale(commit, claim)

    assert not stale()
    now[0] += STALE_AFTER - 1
    assert not stale()
    harness.client.edit_keys("checkpoint", set_id, put={"alive.1": "1"})
    now[0] += 2
    assert not stale(), "its heartbeat changed since"
    now[0] += STALE_AFTER
    assert stale()


def test_a_claim_that_was_given_back_is_taken_at_once(harness: StageHarness) -> None:
    set_id = opened(harness)
    commit = harness.output(CHECKPOINT, set_id)
    claim = take(harness.client, commit, "crashed", "1")
    assert claim is not None
    assert give_back(harness.client, commit, claim.number, "its run is over")
    assert not give_back(harness.client, commit, claim.number, "again")
    assert harness.fill("train", set_id).state == "good"


def test_a_crash_between_the_fence_and_the_end_of_the_commit_leaves_it_free(harness: StageHarness) -> None:
    set_id = opened(harness)
    commit = harness.output(CHECKPOINT, set_id)
    claim = take(harness.client, commit, "crashed", "1")
    assert claim is not None
    harness.client.edit_keys("checkpoint", set_id, add={"over.1": "finishing: crashed"}, put={"fingerprint": "other"})
    filled = harness.fill("train", set_id)
    assert filled.state == "good"
    assert inspect(harness.client, "checkpoint", set_id).metadata["fingerprint"] == harness.record(filled).fingerprint


def test_a_second_attempt_waits_for_the_first_and_returns_its_commit(harness: StageHarness) -> None:
    set_id = opened(harness)
    commit = harness.output(CHECKPOINT, set_id)
    claim = take(harness.client, commit, "other", "1")
    assert claim is not None
    waited = threading.Event()

    def other() -> None:
        waited.wait(30)
        client = harness.client.another()
        try:
            publish(client, commit, {"/weights": b"of the other"}, lambda: None)
            finish(client, commit, claim, {"fingerprint": "f" * 64}, gate=None, now=1.0)
        finally:
            client.close()

    thread = threading.Thread(target=other)
    thread.start()
    worker = replace(harness.worker("mine"), clock=lambda: 0.0, pause=lambda seconds: waited.set())
    filled, _ = fill_set(harness.client, harness.stages()["train"], set_id, {}, worker)
    thread.join()
    assert harness.content(filled) == {"/weights": "of the other"}
    assert harness.worked == []


def test_a_late_attempt_that_lost_its_claim_finishes_nothing(harness: StageHarness) -> None:
    set_id = opened(harness)
    commit = harness.output(CHECKPOINT, set_id)
    zombie = take(harness.client, commit, "zombie", "1")
    assert zombie is not None
    taken = take(harness.client, harness.output(CHECKPOINT, set_id), "second", "1", over="stale")
    assert taken is not None
    with pytest.raises(LostClaimError):
        finish(harness.client, commit, zombie, {"fingerprint": "f" * 64}, gate=None, now=1.0)
    assert harness.output(CHECKPOINT, set_id).state == "open"
    publish(harness.client, commit, {"/weights": b"of the second"}, lambda: None)
    finish(harness.client, commit, taken, {"fingerprint": "f" * 64}, gate=None, now=1.0)
    with pytest.raises(LostClaimError):
        finish(harness.client, commit, zombie, {"fingerprint": "f" * 64}, gate=None, now=1.0)
    assert harness.content(harness.output(CHECKPOINT, set_id)) == {"/weights": "of the second"}


def test_a_lost_claim_is_seen_before_anything_becomes_visible(harness: StageHarness) -> None:
    commit = harness.output(CHECKPOINT, opened(harness))

    def lost() -> None:
        raise LostClaimError("lost")

    with pytest.raises(LostClaimError):
        publish(harness.client, commit, {"/weights": b"late"}, lost)
    assert files(harness.client, "checkpoint", commit.id) == {}


def test_publishing_twice_doubles_nothing(harness: StageHarness) -> None:
    commit = harness.output(CHECKPOINT, opened(harness))
    big = harness.folder / "big"
    big.write_bytes(bytes(range(256)) * 8000)
    result = {"/small": b"s", "/empty": b"", "/big": big}
    publish(harness.client, commit, result, lambda: None)
    want = publish(harness.client, commit, {**result, "/more": b"m"}, lambda: None)
    listing = files(harness.client, "checkpoint", commit.id)
    assert {path: entry.bytes for path, entry in listing.items()} == {
        "/small": 1,
        "/empty": 0,
        "/big": 2048000,
        "/more": 1,
    }
    assert differences(listing, want) == []


def test_promotion_and_the_end_of_the_model_are_one(harness: StageHarness) -> None:
    set_id = opened(harness)
    harness.fill("train", set_id)
    commit = harness.output(CANDIDATE, set_id)
    claim = take(harness.client, commit, "run", "1")
    assert claim is not None
    publish(harness.client, commit, {"/model": b"m"}, lambda: None)

    before = harness.head(MODEL).id
    unpatched = harness.client.transaction.transaction

    @contextmanager
    def breaking() -> Iterator[object]:
        with unpatched() as transaction:
            harness.client.pfs.create_branch = _gone
            yield transaction

    harness.client.transaction.transaction = breaking
    with pytest.raises(ConnectionError):
        finish(
            harness.client,
            commit,
            claim,
            {"fingerprint": "f" * 64},
            gate=GateDecision("promoted", "the test says so", "always"),
            now=1.0,
        )
    harness.client.transaction.transaction = unpatched
    assert harness.output(CANDIDATE, set_id).state == "open"
    assert harness.head(MODEL).id == before
    assert harness.fill("export", set_id).state == "good"
    assert harness.head(MODEL).id == set_id


def _gone(**arguments: object) -> None:
    raise ConnectionError("gone")


def test_the_next_attempt_of_a_run_takes_over_from_its_dead_attempt_at_once(harness: StageHarness) -> None:
    set_id = opened(harness)
    commit = harness.output(CHECKPOINT, set_id)
    dead = take(harness.client, commit, "run", "pod-1")
    assert dead is not None
    worker = replace(harness.worker("run"), name="pod-2", clock=lambda: 0.0, pause=_no_waiting)
    filled, _ = fill_set(harness.client, harness.stages()["train"], set_id, {}, worker)
    assert filled.state == "good"
    first, second = claims_of(filled.metadata)
    assert (first.over, second.attempt) == ("taken over by pod-2, the next attempt of the same run", "pod-2")


def test_an_attempt_of_another_run_does_not_take_a_live_claim_over(harness: StageHarness) -> None:
    metadata = {"run.1": json.dumps({"run": "run", "attempt": "pod-1"})}
    assert predecessor(metadata, "run", "pod-2") is not None
    assert predecessor(metadata, "other", "pod-2") is None
    assert predecessor(metadata, "run", "pod-1") is None, "its own claim"
    assert predecessor({"run.1": json.dumps({"run": "", "attempt": "a"})}, "", "b") is None, "an unknown run"
    assert predecessor({**metadata, "over.1": "finishing: pod-1"}, "run", "pod-2") is None, "no fence protects it"
    assert predecessor({"run.1": "run"}, "run", "pod-2") is not None, "a claim that names no attempt"


@pytest.mark.parametrize("error", [None, OSError(5, "its disk is gone"), PermanentError("its folder is gone")])
def test_a_paused_attempt_that_wakes_after_the_next_one_took_over_changes_nothing(
    harness: StageHarness, error: Exception | None
) -> None:
    """The second attempt runs from start to end during the pause of the first."""
    set_id = opened(harness)
    second: list[str] = []

    def pause(name: str) -> None:
        if not second:
            second.append("started")
            assert harness.fill("train", set_id, run="run").state == "good"
            if error is not None:
                raise error

    harness.fail = pause
    filled = harness.fill("train", set_id, run="run")
    assert filled.state == "good"
    assert harness.content(filled) == {"/weights": "weights(A;64)"}
    assert [claim.number for claim in claims_of(filled.metadata)] == [1, 2]
    assert harness.record(filled).run["claim"] == "2"


def test_a_paused_attempt_that_fails_while_the_next_one_works_leaves_the_commit_to_it(harness: StageHarness) -> None:
    set_id = opened(harness)
    taken: list[object] = []

    def pause(name: str) -> None:
        if not taken:
            taken.append(take(harness.client, harness.output(CHECKPOINT, set_id), "run", "pod-2", over="taken over"))
            raise PermanentError("its folder is gone")

    def second_finishes(seconds: float) -> None:
        commit, claim = harness.output(CHECKPOINT, set_id), taken[0]
        assert isinstance(claim, Claim)
        publish(harness.client, commit, {"/weights": b"of the second"}, lambda: None)
        finish(harness.client, commit, claim, {"fingerprint": "f" * 64}, gate=None, now=1.0)

    harness.fail = pause
    worker = replace(harness.worker("run"), clock=lambda: 0.0, pause=second_finishes)
    filled, _ = fill_set(harness.client, harness.stages()["train"], set_id, {}, worker)
    assert (filled.state, harness.content(filled)) == ("good", {"/weights": "of the second"})


def test_the_next_attempt_of_a_run_goes_on_with_the_fresh_commit_set_of_the_first(harness: StageHarness) -> None:
    opened(harness)
    harness.fill("train")
    own = {"train": {"size": "32"}}
    first = fresh_set(harness.client, CHECKPOINT, TRAINING, own, "run")
    harness.put(TRAINING, {"/b.png": "B"})
    assert fresh_set(harness.client, CHECKPOINT, TRAINING, own, "run") == first
    assert fresh_set(harness.client, CHECKPOINT, TRAINING, {}, "run") != first, "other hyperparameters"
    assert fresh_set(harness.client, CHECKPOINT, TRAINING, own, "other") != first
    assert fresh_set(harness.client, CHECKPOINT, TRAINING, own, "") != first, "an unknown run"


@pytest.mark.parametrize("abandoned", [uuid.UUID(int=0, version=4).hex, "0" * 32, "somebody's"])
def test_a_commit_set_whose_transaction_was_abandoned_is_not_gone_on_with(
    harness: StageHarness, abandoned: str
) -> None:
    newest = opened(harness)
    harness.fill("train")
    harness.client.edit_keys(TRAINING.repo, newest, add={opened_by_key(abandoned): "run"})
    commit_set = fresh_set(harness.client, CHECKPOINT, TRAINING, {}, "run")
    assert harness.output(CHECKPOINT, commit_set).state == "open"


def _no_waiting(seconds: float) -> None:
    raise AssertionError("the attempt waited")


class Conflict(grpc.RpcError):
    """pachd's answer if PostgreSQL gave its transaction up in favour of another one."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN

    def details(self) -> str:
        return "finish commit: ERROR: could not serialize access (SQLSTATE 40001)"


def test_the_end_of_a_commit_is_repeated_if_the_servers_database_gave_it_up(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction, tries = finishing._transaction, []

    def conflicting(*args: Any, **more: Any) -> None:
        tries.append(args)
        if len(tries) < finishing.TRIES:
            raise Conflict
        transaction(*args, **more)

    monkeypatch.setattr(finishing, "_transaction", conflicting)
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    assert harness.fill("train", set_id).state == "good"
    assert len(tries) == finishing.TRIES
