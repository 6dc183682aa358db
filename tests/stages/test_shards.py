"""One output commit is computed by several tasks: one commit, one effect, whatever is killed, doubled or late."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from dying import Killed, living
from hypothesis import given
from hypothesis import strategies as st
from stage_harness import StageHarness

from components.registry import stage as stage_named
from pachyderm.client.commits import Commit
from pachyderm.client.files import read
from pachyderm.dag.repos import INPUT_IMAGES, PREPROCESS_IMAGES
from pachyderm.errors import CommitFailedError, PermanentError, RequestError
from pachyderm.output.output_commit import fill_set
from pachyderm.output.work_in_progress import UNFINISHED
from pachyderm.output.worker import Worker
from pachyderm.queue.claims import HeartbeatMonitor, claims_of, give_back, live_claim, take
from pachyderm.shards import branches
from pachyderm.shards.cut import cut, parse
from pachyderm.shards.division import Division
from pachyderm.shards.shard_attempt import ShardOutcome, fill_shard
from pix2pix.hyperparameters import GenerateParameters

PICTURES = {f"/{number:02}.jpg": str(number) for number in range(10)}
SMALL = {f"/{number:02}.png": f"small({number})" for number in range(10)}


def plan(harness: StageHarness, set_id: str, shards: int | None = 3, run: str = "run") -> tuple[str, ...]:
    """Run the planning task of resize, and return the tickets that it handed out."""
    stage = harness.stages()["resize"]
    division = Division(stage.name, INPUT_IMAGES.repo, shards)
    fill_set(harness.client, stage, set_id, {}, harness.worker(run), division)
    return division.tickets


def compute(harness: StageHarness, ticket: str, run: str = "run", **changes: Any) -> ShardOutcome:
    worker: Worker = replace(harness.worker(run), **changes)
    return fill_shard(harness.client, harness.stages()["resize"], ticket, worker)


def computed(harness: StageHarness) -> list[str]:
    return [path for name, paths in harness.worked if name == "resize" for path in paths]


def kept(harness: StageHarness) -> list[str]:
    return branches.names(harness.client, "")


def output(harness: StageHarness, set_id: str) -> Commit:
    return harness.output(PREPROCESS_IMAGES, set_id)


def test_the_last_shard_publishes_all_in_one_commit_with_the_record_that_one_task_would_write(
    harness: StageHarness,
) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES | {"/bad.jpg": "bad", "/unlike.jpg": "other"})
    tickets = plan(harness, set_id)
    assert len(tickets) == 3
    assert output(harness, set_id).state == "open"
    outcomes = [compute(harness, ticket) for ticket in tickets]
    assert [outcome.published for outcome in outcomes] == [False, False, True]
    commit = output(harness, set_id)
    assert commit.state == "good"
    assert harness.content(commit) == SMALL | {"/unlike.png": "small(other)"}
    record = harness.record(commit)
    assert (record.counts.computed, record.counts.carried, record.counts.rejected) == (11, 0, 1)
    assert [(entry.path, entry.code) for entry in record.rejected] == [("/bad.jpg", "TRUNCATED")]
    assert record.warnings == ("small from pictures unlike the model's",)
    assert {entry.computed_in for entry in record.files.values()} == {commit.id}
    assert sorted(computed(harness)) == sorted([*PICTURES, "/bad.jpg", "/unlike.jpg"])
    assert kept(harness) == []


def test_the_number_of_shards_is_no_part_of_the_fingerprint(harness: StageHarness) -> None:
    first = harness.put(INPUT_IMAGES, PICTURES)
    for ticket in plan(harness, first):
        compute(harness, ticket)
    harness.put(INPUT_IMAGES, {"/more.jpg": "more"})
    again = harness.put(INPUT_IMAGES, PICTURES, mirror=True)
    harness.run("resize")
    assert harness.record(output(harness, again)).reused_from == first


def test_a_small_change_is_computed_by_the_planning_task(harness: StageHarness) -> None:
    first = harness.put(INPUT_IMAGES, PICTURES)
    assert plan(harness, first, None) == ()
    second = harness.put(INPUT_IMAGES, {"/new.jpg": "new"})
    assert plan(harness, second, 5) == ()
    assert output(harness, second).state == "good"
    assert harness.record(output(harness, second)).counts.carried == 10
    assert UNFINISHED.repo not in {info.repo.name for info in harness.client.pfs.list_repo()}


def test_a_shard_that_is_repeated_or_doubled_changes_nothing(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    one, two, three = plan(harness, set_id)
    for ticket in (one, one, two, two):
        assert not compute(harness, ticket).published
    assert len(computed(harness)) == 7, "a kept result is not computed again"
    assert compute(harness, three).published
    assert harness.content(output(harness, set_id)) == SMALL


def test_a_shard_whose_publication_failed_finds_all_of_its_work_again(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    for ticket in plan(harness, set_id)[:2]:
        compute(harness, ticket)
    done = set(computed(harness))
    assert plan(harness, set_id, 2, run="next") != ()
    for ticket in plan(harness, set_id, 2, run="next"):
        compute(harness, ticket, run="next")
    assert len(done) == 7
    assert sorted(computed(harness)) == sorted(PICTURES), "each picture is computed once"
    assert harness.content(output(harness, set_id)) == SMALL


def test_the_claim_stays_alive_while_a_shard_works_and_shows_the_progress_of_all(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pachyderm.queue.claims.RENEW_EVERY", 0.01)
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    one, two, _ = plan(harness, set_id)
    compute(harness, one)
    monitor, seen = HeartbeatMonitor(lambda: 0.0), []

    def work(name: str) -> None:
        end = time.monotonic() + 20
        while len(seen) < 3 and time.monotonic() < end:
            claim = live_claim(output(harness, set_id).metadata)
            assert claim is not None
            monitor.stale(output(harness, set_id), claim)
            if claim.alive not in seen:
                seen.append(claim.alive)

    harness.fail = work
    compute(harness, two)
    assert len(seen) == 3
    claim = live_claim(output(harness, set_id).metadata)
    assert claim is not None
    assert (claim.done, claim.total) == (7, 10)


def test_a_shard_without_remedy_fails_the_commit_and_names_its_files(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    one, two, three = plan(harness, set_id)
    compute(harness, one)

    def fail(name: str) -> None:
        raise PermanentError("the pictures are hopeless")

    harness.fail = fail
    with pytest.raises(CommitFailedError, match="hopeless"):
        compute(harness, two)
    assert output(harness, set_id).error == (
        "failed: shard 2 of 3 (/04.jpg to /06.jpg, 3 files): the pictures are hopeless"
    )
    with pytest.raises(CommitFailedError, match="hopeless"):
        compute(harness, three)


def test_a_shard_that_fails_is_named_and_the_others_go_on_and_its_next_attempt_makes_up_for_it(
    harness: StageHarness,
) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    one, two, three = plan(harness, set_id)
    compute(harness, one)

    def fail(name: str) -> None:
        raise RuntimeError("the disk is full")

    harness.fail = fail
    for _ in range(2):
        with pytest.raises(RuntimeError):
            compute(harness, two)
    (claim,) = claims_of(output(harness, set_id).metadata)
    assert claim.over is None
    assert claim.reported == "shard 2 of 3 (/04.jpg to /06.jpg, 3 files): RuntimeError: the disk is full"
    assert claim.kept == 4
    harness.fail = lambda name: None
    assert "1 others are not complete" in compute(harness, three).text
    (claim,) = claims_of(output(harness, set_id).metadata)
    assert claim.kept == 7
    assert compute(harness, two).published
    first, _ = claims_of(output(harness, set_id).metadata)
    assert (first.reported, first.kept) == ("", 10), "what was made up for is no failure"
    assert harness.content(output(harness, set_id)) == SMALL


def test_what_shards_kept_beside_one_that_failed_is_no_work_of_the_next_run(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    one, two, three = plan(harness, set_id)

    def fail(name: str) -> None:
        raise RuntimeError("the disk is full")

    harness.fail = fail
    with pytest.raises(RuntimeError):
        compute(harness, two)
    harness.fail = lambda name: None
    compute(harness, one)
    compute(harness, three)
    harness.worked.clear()
    give_back(harness.client, output(harness, set_id), 1, "run run is over: failed")
    assert "taken" in compute(harness, two).text, "nothing is computed under a claim that has ended"
    assert plan(harness, set_id, 1, run="next") == ()
    assert computed(harness) == ["/04.jpg", "/05.jpg", "/06.jpg"]
    assert harness.content(output(harness, set_id)) == SMALL


def test_shards_of_an_attempt_that_was_taken_over_end_quietly(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    tickets = plan(harness, set_id)
    commit = output(harness, set_id)
    assert take(harness.client, commit, "other", "other-1", over="no heartbeat") is not None
    assert not any(compute(harness, ticket).published for ticket in tickets)
    assert computed(harness) == []


def test_a_deleted_plan_and_deleted_results_cost_repeated_work_alone(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    one, two, three = plan(harness, set_id)
    compute(harness, one)
    compute(harness, two)
    branches.delete(harness.client, ("shard-",), (), 0.0)
    assert compute(harness, three).published, "what was deleted is computed by the last shard"
    assert harness.content(output(harness, set_id)) == SMALL
    second = harness.put(INPUT_IMAGES, {f"/new{number}.jpg": f"n{number}" for number in range(4)})
    (ticket, _) = plan(harness, second, 2)
    harness.client.pfs.delete_repo(repo=harness.client.repo(UNFINISHED.repo))
    with pytest.raises(RequestError, match="run the pipeline again"):
        compute(harness, ticket)


def test_a_shard_of_other_code_than_its_plan_computes_nothing(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    ticket = plan(harness, set_id)[0]
    harness.code = "changed"
    with pytest.raises(RequestError, match="planned with another code"):
        compute(harness, ticket)
    assert computed(harness) == []


def test_results_of_an_older_model_or_of_older_parameters_are_not_taken(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    compute(harness, plan(harness, set_id)[0])
    harness.code = "changed"
    assert plan(harness, set_id, 1, run="next") == ()
    assert sorted(computed(harness)) == sorted([*PICTURES, *list(PICTURES)[:4]])


def test_a_result_that_another_program_wrote_or_damaged_is_not_taken(
    harness: StageHarness, caplog: pytest.LogCaptureFixture
) -> None:
    set_id = harness.put(INPUT_IMAGES, PICTURES)
    compute(harness, plan(harness, set_id)[0])
    (name,) = branches.names(harness.client, "shard-")
    for text in (b"{", b"[]", b'{"files": {"/a": 1}}', b"\xff"):
        branches.write(harness.client, name, {"/result.json": text})
        assert len(plan(harness, set_id, 2, run=f"run {text!r}")) == 2
        assert "is not the result of a shard and is not taken" in caplog.text
        caplog.clear()
    assert plan(harness, set_id, 1, run="last") == ()
    assert harness.content(output(harness, set_id)) == SMALL


def test_plans_and_results_of_any_size_are_sent_in_messages_that_the_server_accepts(harness: StageHarness) -> None:
    content = b"0123456789" * 2_500_000
    commit = branches.write(harness.client, "large", {"/a": content, "/empty": b""})
    assert read(harness.client, commit.repo, commit.id, "/a") == content
    assert read(harness.client, commit.repo, commit.id, "/empty") == b""


def test_results_that_nobody_needed_are_deleted_after_a_week(harness: StageHarness) -> None:
    branches.write(harness.client, "shard-old-1", {"/a": b"a"})
    branches.write(harness.client, "other", {"/a": b"a"})
    started = harness.head(branches.branch("shard-old-1")).started
    branches.delete(harness.client, (), ("shard-",), started + branches.FORGOTTEN_AFTER - 1)
    assert kept(harness) == ["other", "shard-old-1"]
    branches.delete(harness.client, (), ("shard-",), started + branches.FORGOTTEN_AFTER + 1)
    assert kept(harness) == ["other"]


def kill_at(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, ticket: str | None, set_id: str, last: int, answered: bool
) -> tuple[bool, Sequence[str]]:
    """Run the planning task, or a shard, until its `last` request; return whether it died, and its requests."""
    with living(monkeypatch, last, answered) as life:
        client = harness.client.another()
        mortal = replace(harness, client=client)
        try:
            if ticket is None:
                plan(mortal, set_id, run="dies")
            else:
                compute(mortal, ticket, run="dies")
        except Killed:
            return True, life.requests
        finally:
            client.close()
    return False, life.requests


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("victim", ["plan", "shard", "publishing shard"])
def test_a_task_that_is_killed_at_any_request_is_made_up_for_by_the_next_attempt(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch, victim: str, answered: bool
) -> None:
    last, kills, step = 1, 0, 15 if victim == "publishing shard" else 7
    while True:
        pictures = {f"/{number:02}.jpg": f"{last} {number}" for number in range(4)}
        set_id = harness.put(INPUT_IMAGES, pictures, mirror=True)
        harness.worked.clear()
        tickets: tuple[str, ...] = () if victim == "plan" else plan(harness, set_id, 2, run="dies")
        if victim == "publishing shard":
            compute(harness, tickets[0], run="dies")
        died, requests = kill_at(
            harness, monkeypatch, None if victim == "plan" else tickets[-1], set_id, last, answered
        )
        kills += died
        for ticket in plan(harness, set_id, 2, run="dies"):
            compute(harness, ticket, run="dies")
        want = {path.replace("jpg", "png"): f"small({text})" for path, text in pictures.items()}
        where = f"{victim} killed {'after' if answered else 'before'} request {last} {requests[-1:]}"
        assert harness.content(output(harness, set_id)) == want, where
        assert output(harness, set_id).state == "good", where
        assert len(computed(harness)) <= len(pictures) + died * 2, where
        if not died:
            break
        last += step
    assert kills >= 2


def test_shards_is_auto_or_a_number_from_1() -> None:
    assert parse("auto") is None
    assert parse("12") == 12
    for text in ("0", "-1", "1.5", "", "AUTO", "1001", "99999999999"):
        with pytest.raises(
            RequestError, match=r"shards = .* is not allowed; it must be 'auto' or a number from 1 to 1000"
        ):
            parse(text)


def test_more_shards_than_files_are_as_many_as_there_are_files_and_this_is_said(
    harness: StageHarness, caplog: pytest.LogCaptureFixture
) -> None:
    set_id = harness.put(INPUT_IMAGES, {"/a.jpg": "a", "/b.jpg": "b"})
    tickets = plan(harness, set_id, 9)
    assert len(tickets) == 2
    assert "shards = 9 is more than 2 files can be cut into; there are 2" in caplog.text


@given(
    st.lists(st.integers(0, 1 << 31), max_size=200),
    st.none() | st.integers(1, 40),
    st.integers(1, 9),
)
def test_shards_are_consecutive_not_empty_and_hold_whole_batches(
    sizes: list[int], shards: int | None, multiple: int
) -> None:
    parts = cut(sizes, shards, multiple)
    assert [index for part in parts for index in part] == list(range(len(sizes)))
    assert all(parts)
    assert all(len(part) % multiple == 0 for part in parts[:-1])
    if shards:
        assert len(parts) == min(shards, -(-len(sizes) // multiple))


def test_auto_cuts_by_files_and_by_bytes() -> None:
    assert len(cut([100] * 1999, None)) == 1
    assert [len(part) for part in cut([100] * 4000, None, 8)] == [2000, 2000]
    assert len(cut([1 << 28] * 12, None)) == 3, "by bytes, 1 GiB each"
    parts = cut([1 << 30, *[1] * 7], 2)
    assert [len(part) for part in parts] == [1, 7], "by bytes as well as by files"


def test_the_outputs_of_generate_depend_on_batches_so_its_shards_hold_whole_ones() -> None:
    assert stage_named("generate").batch(GenerateParameters(batch_size=16)) == 16
