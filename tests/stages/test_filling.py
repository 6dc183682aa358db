"""Filling an output commit: its content, what is computed, what is carried over, what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from dying import living
from pachyderm_sdk.api import pfs
from stage_harness import StageHarness

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import files
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.errors import CommitFailedError, PermanentError, RequestError
from pachyderm.output import attempt
from pachyderm.output.output_commit import fill_set
from pachyderm.output.publish import publish
from pachyderm.queue.commit_sets import open_fresh


def trained(harness: StageHarness) -> str:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export", commit_set=set_id)
    return set_id


def test_a_commit_on_training_fills_checkpoint_and_model_of_its_set_and_promotes(harness: StageHarness) -> None:
    set_id = trained(harness)
    assert harness.content(harness.output(CHECKPOINT, set_id)) == {"/weights": "weights(A;64)"}
    assert harness.content(harness.output(CANDIDATE, set_id)) == {"/model": "model(weights(A;64);64)"}
    assert harness.head(MODEL).id == set_id


def test_every_output_records_data_code_parameters_and_run(harness: StageHarness) -> None:
    set_id = trained(harness)
    record = harness.record(harness.output(CHECKPOINT, set_id))
    assert [(entry.repo, entry.commit) for entry in record.inputs] == [("training", set_id)]
    assert record.run["id"] == "run"
    assert record.parameters["size"].value == "64"
    assert record.check is not None
    assert record.check.counts == {"BLANK": 1}
    assert set(record.parts) == {"stage", "code", "parameters", "versions.pillow", "inputs.training"}
    assert record.files["/weights"].computed_in == set_id
    assert harness.output(CHECKPOINT, set_id).provenance[0].id == set_id


def test_only_changed_added_and_deleted_pictures_are_work(harness: StageHarness) -> None:
    trained(harness)
    harness.put(INPUT_IMAGES, {"/a.jpg": "1", "/b.jpg": "2", "/c/d.jpg": "3"})
    harness.run("resize", "generate")
    harness.worked.clear()
    last = harness.put(INPUT_IMAGES, {"/a.jpg": "1", "/b.jpg": "two", "/e.jpg": "4"}, mirror=True)
    harness.run("resize", "generate")
    assert harness.worked == [("resize", ("/b.jpg", "/e.jpg")), ("generate", ("/b.png", "/e.png"))]
    commit = harness.output(GENERATE_IMAGES, last)
    assert harness.content(commit) == {
        "/a.png": "made(small(1))",
        "/b.png": "made(small(two))",
        "/e.png": "made(small(4))",
    }
    counts = harness.record(commit).counts
    assert (counts.computed, counts.carried, counts.deleted) == (2, 1, 1)


def test_a_warning_stays_with_pictures_that_are_carried_over_or_reused_and_goes_with_them(
    harness: StageHarness,
) -> None:
    trained(harness)

    def warnings(pictures: dict[str, str]) -> tuple[str, ...]:
        commit_set = harness.put(INPUT_IMAGES, pictures, mirror=True)
        harness.run("resize", "generate")
        return harness.record(harness.output(GENERATE_IMAGES, commit_set)).warnings

    warned = ("made from pictures unlike the model's",)
    assert warnings({"/unlike.jpg": "1"}) == warned
    assert warnings({"/unlike.jpg": "1", "/b.jpg": "2"}) == warned
    assert warnings({"/b.jpg": "2"}) == warned
    assert warnings({"/c.jpg": "3"}) == ()
    assert warnings({"/unlike.jpg": "1"}) == warned


def test_a_renamed_picture_is_not_computed_again(harness: StageHarness) -> None:
    trained(harness)
    harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    harness.run("resize", "generate")
    harness.worked.clear()
    last = harness.put(INPUT_IMAGES, {"/z.jpg": "1"}, mirror=True)
    harness.run("resize", "generate")
    assert harness.worked == [("resize", ()), ("generate", ())]
    assert harness.content(harness.output(GENERATE_IMAGES, last)) == {"/z.png": "made(small(1))"}


def test_a_bad_picture_is_left_out_listed_counted_and_not_tried_again(harness: StageHarness) -> None:
    trained(harness)
    harness.put(INPUT_IMAGES, {"/a.jpg": "1", "/bad.jpg": "bad"})
    harness.run("resize")
    record = harness.record(harness.head(PREPROCESS_IMAGES))
    assert [(entry.path, entry.code) for entry in record.rejected] == [("/bad.jpg", "TRUNCATED")]
    assert (record.counts.inputs, record.counts.accepted, record.counts.rejected) == (2, 1, 1)
    harness.worked.clear()
    harness.put(INPUT_IMAGES, {"/b.jpg": "2"})
    harness.run("resize")
    assert harness.worked == [("resize", ("/b.jpg",))]
    assert [entry.path for entry in harness.record(harness.head(PREPROCESS_IMAGES)).rejected] == ["/bad.jpg"]


def test_the_first_in_byte_order_keeps_a_name_and_loses_nothing_when_it_goes(harness: StageHarness) -> None:
    harness.put(INPUT_IMAGES, {"/a.jpg": "1", "/a.png": "2"})
    harness.run("resize")
    first = harness.head(PREPROCESS_IMAGES)
    assert harness.content(first) == {"/a.png": "small(1)"}
    assert [(entry.path, entry.code) for entry in harness.record(first).rejected] == [("/a.png", "NAME_COLLISION")]
    harness.put(INPUT_IMAGES, {"/a.png": "2"}, mirror=True)
    harness.run("resize")
    assert harness.content(harness.head(PREPROCESS_IMAGES)) == {"/a.png": "small(2)"}


def test_a_new_model_makes_every_picture_again(harness: StageHarness) -> None:
    trained(harness)
    harness.put(INPUT_IMAGES, {"/a.jpg": "1", "/b.jpg": "2"})
    harness.run("resize", "generate")
    harness.worked.clear()
    harness.put(TRAINING, {"/b.png": "B"})
    harness.run("train", "export", "resize", "generate")
    assert harness.worked[-1] == ("generate", ("/a.png", "/b.png"))


def test_going_back_copies_and_computes_nothing(harness: StageHarness) -> None:
    first = trained(harness)
    harness.put(TRAINING, {"/a.png": "B"})
    harness.run("train", "export")
    harness.worked.clear()
    third = harness.put(TRAINING, {"/a.png": "A"})
    harness.run("train", "export")
    assert harness.worked == []
    assert harness.content(harness.output(CANDIDATE, third)) == harness.content(harness.output(CANDIDATE, first))
    assert harness.record(harness.output(CHECKPOINT, third)).reused_from == first
    assert harness.record(harness.output(CHECKPOINT, third)).files["/weights"].computed_in == first
    assert harness.record(harness.output(CHECKPOINT, third)).check is not None


@pytest.mark.parametrize(
    ("change", "runs"),
    [
        ("nothing", []),
        ("a pixel", ["train", "export"]),
        ("a parameter", ["train", "export"]),
        ("a source file", ["train", "export"]),
        ("a library's version", ["train", "export"]),
    ],
)
def test_what_shapes_the_output_and_only_that_runs_a_stage_again(
    harness: StageHarness, change: str, runs: list[str]
) -> None:
    trained(harness)
    harness.worked.clear()
    if change == "a pixel":
        harness.put(TRAINING, {"/a.png": "a"})
    elif change == "a parameter":
        harness.put(TRAINING, {"/pix2pix.toml": "size=32"})
    elif change == "a source file":
        harness.code = "other code"
    elif change == "a library's version":
        harness.versions = {"pillow": "14"}
    harness.fill("train", "new" if harness.head(CHECKPOINT).state == "good" else "")
    harness.fill("export")
    assert [name for name, _ in harness.worked] == runs


def test_running_a_stage_twice_is_harmless(harness: StageHarness) -> None:
    set_id = trained(harness)
    before = files(harness.client, "model", set_id)
    harness.run("train", "export", commit_set=set_id)
    assert harness.worked == [("train", ()), ("export", ())]
    assert files(harness.client, "model", set_id) == before


def test_an_attempt_inspects_each_commit_once_per_phase(harness: StageHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(harness)
    set_id = harness.put(TRAINING, {"/a.png": "B"})
    with living(monkeypatch) as life, contextlib.closing(harness.client.another()) as client:
        fill_set(client, harness.stages()["train"], set_id, {}, harness.worker())
    # find: the input and the older commit; then the output commit: claim, end of the work, before AddFileSet, finish.
    assert life.requests.count("InspectCommit") == 6
    with living(monkeypatch) as life, contextlib.closing(harness.client.another()) as client:
        fill_set(client, harness.stages()["train"], set_id, {}, harness.worker())
    assert life.requests == ["InspectCommitSet"], "a finished commit"


def test_an_alias_is_returned_and_never_written(harness: StageHarness) -> None:
    set_id = trained(harness)
    pictures = harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    harness.run("resize", "generate")
    before = files(harness.client, "model", set_id)
    assert harness.fill("export", pictures).id == set_id
    assert files(harness.client, "model", set_id) == before


def test_an_open_alias_is_left_to_its_own_set(harness: StageHarness) -> None:
    trained(harness)
    harness.run("generate")
    pictures = harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    promoted = open_fresh(harness.client, MODEL)
    harness.worked.clear()
    assert harness.fill("resize", promoted).id == pictures
    assert harness.worked == []
    assert harness.output(PREPROCESS_IMAGES, pictures).state == "open"


def test_without_a_model_or_pictures_the_commit_is_empty_and_records_what_is_awaited(harness: StageHarness) -> None:
    set_id = harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    harness.run("resize", "generate")
    commit = harness.output(GENERATE_IMAGES, set_id)
    assert harness.content(commit) == {}
    assert harness.record(commit).awaited == "something in model"


def test_inputs_that_all_went_leave_an_empty_commit(harness: StageHarness) -> None:
    harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    harness.run("resize")
    harness.put(INPUT_IMAGES, {"/pix2pix.toml": "x=1"}, mirror=True)
    harness.run("resize")
    assert harness.content(harness.head(PREPROCESS_IMAGES)) == {}


def test_a_set_that_does_not_reach_the_stage_is_refused_by_name(harness: StageHarness) -> None:
    set_id = trained(harness)
    with pytest.raises(RequestError, match="no commit in preprocess_images"):
        harness.fill("resize", set_id)
    with pytest.raises(RequestError, match=r"commit set \w+ not found"):
        harness.fill("train", "a" * 12 + "4" + "a" * 19)


def test_hopeless_work_ends_the_commit_and_all_that_depends_on_it(harness: StageHarness) -> None:
    trained(harness)
    set_id = harness.put(TRAINING, {"/a.png": "worse"})

    def fail(name: str) -> None:
        raise PermanentError("no pair can be used; commit pairs")

    harness.fail = fail
    with pytest.raises(CommitFailedError, match="no pair can be used"):
        harness.fill("train", set_id)
    assert harness.output(CHECKPOINT, set_id).error == "failed: no pair can be used; commit pairs"
    after = harness.output(CANDIDATE, set_id)
    assert after.state == "failed"
    assert "no pair can be used" in after.error and f"checkpoint@{set_id}" in after.error


def test_after_a_failed_commit_the_next_good_one_works_and_the_model_in_use_stays(harness: StageHarness) -> None:
    test_hopeless_work_ends_the_commit_and_all_that_depends_on_it(harness)
    harness.fail = lambda name: None
    in_use = harness.head(MODEL).id
    last = harness.put(TRAINING, {"/a.png": "C"})
    assert harness.head(MODEL).id == in_use
    harness.run("train", "export", commit_set=last)
    assert harness.content(harness.output(CHECKPOINT, last)) == {"/weights": "weights(C;64)"}
    assert harness.head(MODEL).id == last


def test_a_failure_leaves_the_commit_open_for_the_next_attempt(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})

    def fail(name: str) -> None:
        raise OSError(28, "No space left on device")

    harness.fail = fail
    with pytest.raises(OSError, match="No space left"):
        harness.fill("train", set_id)
    assert harness.output(CHECKPOINT, set_id).state == "open"
    harness.fail = lambda name: None
    assert harness.fill("train", set_id).state == "good"


def test_hyperparameters_of_a_run_open_a_fresh_set_and_stay_with_it(harness: StageHarness) -> None:
    first = trained(harness)
    commit = harness.fill("train", train={"size": "32"})
    assert commit.id != first
    assert harness.content(commit) == {"/weights": "weights(A;32)"}
    exported = harness.fill("export", commit.id)
    assert harness.content(exported) == {"/model": "model(weights(A;32);32)"}
    assert harness.head(MODEL).id == first, "such a model is promoted only by hand"
    assert f"hyperparameters.{commit.id}" in harness.head(TRAINING).metadata


def test_hyperparameters_cannot_be_given_to_an_existing_set(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(RequestError, match="leave the set out"):
        harness.fill("train", set_id, train={"size": "32"})


def test_promote_never_leaves_the_model_in_use(harness: StageHarness) -> None:
    first = trained(harness)
    last = harness.put(TRAINING, {"/a.png": "B", "/pix2pix.toml": "promote=never"})
    harness.run("train", "export", commit_set=last)
    assert harness.output(CANDIDATE, last).state == "good"
    assert harness.head(MODEL).id == first


def test_files_of_a_stranger_in_an_open_commit_do_not_stay(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    harness.client.pfs.modify_file(_stranger(harness, set_id))
    harness.fill("train", set_id)
    assert harness.content(harness.output(CHECKPOINT, set_id)) == {"/weights": "weights(A;64)"}


def test_what_a_late_writer_changed_is_marked_and_made_again(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.put(INPUT_IMAGES, {"/1.jpg": "1", "/2.jpg": "2"})
    really_finish = attempt.finish

    def late(client: Connection, commit: Commit, *rest: Any, **more: Any) -> Commit:
        target = pfs.ModifyFileRequest(set_commit=client.commit(commit.repo, commit.id))
        gone = pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/1.png"))
        client.pfs.modify_file(
            iter((target, gone, pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/2.png", raw=b"X"))))
        )
        return really_finish(client, commit, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "finish", late)
        changed = harness.fill("resize")
    assert "/1.png" in inspect(harness.client, changed.repo, changed.id).metadata["untrue"]
    fresh = harness.fill("resize")
    assert fresh.id != changed.id
    assert harness.content(fresh) == {"/1.png": "small(1)", "/2.png": "small(2)"}
    assert harness.record(fresh).outcome == "computed"


def _stranger(harness: StageHarness, set_id: str) -> Iterator[pfs.ModifyFileRequest]:
    yield pfs.ModifyFileRequest(set_commit=harness.client.commit("checkpoint", set_id))
    yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/weights", raw=b"not ours"))
    yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/stray", raw=b"not ours"))


def test_a_record_that_cannot_be_read_stops_nothing_and_carries_nothing(harness: StageHarness) -> None:
    first = harness.put(INPUT_IMAGES, {"/a.jpg": "1"})
    commit = harness.output(PREPROCESS_IMAGES, first)
    publish(harness.client, commit, {"/a.png": b"small(1)", "/_report/stage.json": b'{"schema": 99}'}, lambda: None)
    harness.client.pfs.finish_commit(commit=harness.client.commit(commit.repo, commit.id))
    second = harness.put(INPUT_IMAGES, {"/b.jpg": "2"})
    assert harness.content(harness.fill("resize", second)) == {"/a.png": "small(1)", "/b.png": "small(2)"}
    assert harness.worked == [("resize", ("/a.jpg", "/b.jpg"))]


def test_a_file_whose_name_is_not_that_of_a_picture_is_left_out_and_stops_nothing(harness: StageHarness) -> None:
    others = {"/README.md": "text", "/.DS_Store": "mac", "/cats/._a.png": "mac", "/x.json": "1"}
    first = harness.put(INPUT_IMAGES, {"/a.png": "2", **others})
    harness.run("resize")
    record = harness.record(harness.output(PREPROCESS_IMAGES, first))
    assert {(entry.path, entry.code) for entry in record.rejected} == {(path, "NOT_A_PICTURE") for path in others}
    second = harness.put(INPUT_IMAGES, {"/a.png": "2", "/x.png": "1"}, mirror=True)
    harness.run("resize")
    assert harness.content(harness.output(PREPROCESS_IMAGES, second)) == {"/a.png": "small(2)", "/x.png": "small(1)"}


def test_results_too_large_for_one_chunk_are_carried_over_too(harness: StageHarness) -> None:
    harness.put(INPUT_IMAGES, {"/a.png": "a" * 1_100_000, "/b.png": "b" * 1_100_000})
    harness.run("resize")
    harness.worked.clear()
    harness.put(INPUT_IMAGES, {"/b.png": "c"})
    harness.run("resize")
    assert harness.worked == [("resize", ("/b.png",))]


def test_a_set_with_hyperparameters_of_its_own_supersedes_no_other_in_a_run_by_hand(harness: StageHarness) -> None:
    covered = harness.put(TRAINING, {"/a.png": "A"})
    waiting = harness.put(TRAINING, {"/a.png": "B"})
    own = open_fresh(harness.client, TRAINING, {"train": {"size": "32"}})
    harness.run("train", "export")
    assert harness.output(CHECKPOINT, covered).error == f"superseded: by {waiting}"
    assert [harness.output(CANDIDATE, commit_set).state for commit_set in (waiting, own)] == ["good", "good"]
    assert harness.head(MODEL).id == waiting
