"""Filling an output commit: what it holds, what is work, what is carried over, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pachyderm_sdk.api import pfs
from stage_harness import House

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import files
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, GENERATE_IMAGES, INPUT_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.errors import CommitFailedError, HopelessError, RequestError
from pachyderm.output import attempt
from pachyderm.output.publish import publish
from pachyderm.queue.commit_sets import open_fresh


def trained(house: House) -> str:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    house.run("train", "export", commit_set=set_id)
    return set_id


def test_a_commit_on_training_fills_checkpoint_and_model_of_its_set_and_promotes(house: House) -> None:
    set_id = trained(house)
    assert house.content(house.output(CHECKPOINT, set_id)) == {"/weights": "weights(A;64)"}
    assert house.content(house.output(CANDIDATE, set_id)) == {"/model": "model(weights(A;64);64)"}
    assert house.head(MODEL).id == set_id


def test_every_output_records_data_code_parameters_and_run(house: House) -> None:
    set_id = trained(house)
    record = house.record(house.output(CHECKPOINT, set_id))
    assert [(one.repo, one.commit) for one in record.inputs] == [("training", set_id)]
    assert record.run["id"] == "run"
    assert record.parameters["size"].value == "64"
    assert set(record.parts) == {"stage", "code", "parameters", "versions.pillow", "inputs.training"}
    assert record.files["/weights"].computed_in == set_id
    assert house.output(CHECKPOINT, set_id).provenance[0].id == set_id


def test_only_changed_added_and_deleted_pictures_are_work(house: House) -> None:
    trained(house)
    house.put(INPUT_IMAGES, {"/a.jpg": "1", "/b.jpg": "2", "/c/d.jpg": "3"})
    house.run("resize", "generate")
    house.worked.clear()
    last = house.put(INPUT_IMAGES, {"/a.jpg": "1", "/b.jpg": "two", "/e.jpg": "4"}, mirror=True)
    house.run("resize", "generate")
    assert house.worked == [("resize", ("/b.jpg", "/e.jpg")), ("generate", ("/b.png", "/e.png"))]
    made = house.output(GENERATE_IMAGES, last)
    assert house.content(made) == {"/a.png": "made(small(1))", "/b.png": "made(small(two))", "/e.png": "made(small(4))"}
    counts = house.record(made).counts
    assert (counts.computed, counts.carried, counts.deleted) == (2, 1, 1)


def test_a_renamed_picture_is_not_computed_again(house: House) -> None:
    trained(house)
    house.put(INPUT_IMAGES, {"/a.jpg": "1"})
    house.run("resize", "generate")
    house.worked.clear()
    last = house.put(INPUT_IMAGES, {"/z.jpg": "1"}, mirror=True)
    house.run("resize", "generate")
    assert house.worked == [("resize", ()), ("generate", ())]
    assert house.content(house.output(GENERATE_IMAGES, last)) == {"/z.png": "made(small(1))"}


def test_a_bad_picture_is_left_out_listed_counted_and_not_tried_again(house: House) -> None:
    trained(house)
    house.put(INPUT_IMAGES, {"/a.jpg": "1", "/bad.jpg": "bad"})
    house.run("resize")
    record = house.record(house.head(PREPROCESS_IMAGES))
    assert [(one.path, one.code) for one in record.rejected] == [("/bad.jpg", "TRUNCATED")]
    assert (record.counts.inputs, record.counts.accepted, record.counts.rejected) == (2, 1, 1)
    house.worked.clear()
    house.put(INPUT_IMAGES, {"/b.jpg": "2"})
    house.run("resize")
    assert house.worked == [("resize", ("/b.jpg",))]
    assert [one.path for one in house.record(house.head(PREPROCESS_IMAGES)).rejected] == ["/bad.jpg"]


def test_the_first_in_byte_order_keeps_a_name_and_loses_nothing_when_it_goes(house: House) -> None:
    house.put(INPUT_IMAGES, {"/a.jpg": "1", "/a.png": "2"})
    house.run("resize")
    first = house.head(PREPROCESS_IMAGES)
    assert house.content(first) == {"/a.png": "small(1)"}
    assert [(one.path, one.code) for one in house.record(first).rejected] == [("/a.png", "NAME_COLLISION")]
    house.put(INPUT_IMAGES, {"/a.png": "2"}, mirror=True)
    house.run("resize")
    assert house.content(house.head(PREPROCESS_IMAGES)) == {"/a.png": "small(2)"}


def test_a_new_model_makes_every_picture_again(house: House) -> None:
    trained(house)
    house.put(INPUT_IMAGES, {"/a.jpg": "1", "/b.jpg": "2"})
    house.run("resize", "generate")
    house.worked.clear()
    house.put(TRAINING, {"/b.png": "B"})
    house.run("train", "export", "resize", "generate")
    assert house.worked[-1] == ("generate", ("/a.png", "/b.png"))


def test_going_back_copies_and_computes_nothing(house: House) -> None:
    first = trained(house)
    house.put(TRAINING, {"/a.png": "B"})
    house.run("train", "export")
    house.worked.clear()
    third = house.put(TRAINING, {"/a.png": "A"})
    house.run("train", "export")
    assert house.worked == []
    assert house.content(house.output(CANDIDATE, third)) == house.content(house.output(CANDIDATE, first))
    assert house.record(house.output(CHECKPOINT, third)).reused_from == first
    assert house.record(house.output(CHECKPOINT, third)).files["/weights"].computed_in == first


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
def test_what_shapes_the_output_and_only_that_runs_a_stage_again(house: House, change: str, runs: list[str]) -> None:
    trained(house)
    house.worked.clear()
    if change == "a pixel":
        house.put(TRAINING, {"/a.png": "a"})
    elif change == "a parameter":
        house.put(TRAINING, {"/pix2pix.toml": "size=32"})
    elif change == "a source file":
        house.code = "other code"
    elif change == "a library's version":
        house.versions = {"pillow": "14"}
    house.fill("train", "new" if house.head(CHECKPOINT).state == "good" else "")
    house.fill("export")
    assert [name for name, _ in house.worked] == runs


def test_running_a_stage_twice_is_harmless(house: House) -> None:
    set_id = trained(house)
    before = files(house.client, "model", set_id)
    house.run("train", "export", commit_set=set_id)
    assert house.worked == [("train", ()), ("export", ())]
    assert files(house.client, "model", set_id) == before


def test_an_alias_is_returned_and_never_written(house: House) -> None:
    set_id = trained(house)
    pictures = house.put(INPUT_IMAGES, {"/a.jpg": "1"})
    house.run("resize", "generate")
    before = files(house.client, "model", set_id)
    assert house.fill("export", pictures).id == set_id
    assert files(house.client, "model", set_id) == before


def test_an_open_alias_is_left_to_its_own_set(house: House) -> None:
    trained(house)
    house.run("generate")
    pictures = house.put(INPUT_IMAGES, {"/a.jpg": "1"})
    promoted = open_fresh(house.client, MODEL)
    house.worked.clear()
    assert house.fill("resize", promoted).id == pictures
    assert house.worked == []
    assert house.output(PREPROCESS_IMAGES, pictures).state == "open"


def test_without_a_model_or_pictures_the_commit_is_empty_and_says_what_is_awaited(house: House) -> None:
    set_id = house.put(INPUT_IMAGES, {"/a.jpg": "1"})
    house.run("resize", "generate")
    made = house.output(GENERATE_IMAGES, set_id)
    assert house.content(made) == {}
    assert house.record(made).awaited == "something in model"


def test_inputs_that_all_went_leave_an_empty_commit(house: House) -> None:
    house.put(INPUT_IMAGES, {"/a.jpg": "1"})
    house.run("resize")
    house.put(INPUT_IMAGES, {"/pix2pix.toml": "x=1"}, mirror=True)
    house.run("resize")
    assert house.content(house.head(PREPROCESS_IMAGES)) == {}


def test_a_set_that_does_not_reach_the_stage_is_refused_by_name(house: House) -> None:
    set_id = trained(house)
    with pytest.raises(RequestError, match="no commit in preprocess_images"):
        house.fill("resize", set_id)
    with pytest.raises(RequestError, match=r"commit set \w+ not found"):
        house.fill("train", "a" * 12 + "4" + "a" * 19)


def test_hopeless_work_ends_the_commit_and_all_that_depends_on_it(house: House) -> None:
    trained(house)
    set_id = house.put(TRAINING, {"/a.png": "worse"})

    def fail(name: str) -> None:
        raise HopelessError("no pair can be used; commit pairs")

    house.fail = fail
    with pytest.raises(CommitFailedError, match="no pair can be used"):
        house.fill("train", set_id)
    assert house.output(CHECKPOINT, set_id).error == "failed: no pair can be used; commit pairs"
    after = house.output(CANDIDATE, set_id)
    assert after.state == "failed"
    assert "no pair can be used" in after.error and f"checkpoint@{set_id}" in after.error


def test_after_a_failed_commit_the_next_good_one_works_and_the_model_in_use_stays(house: House) -> None:
    test_hopeless_work_ends_the_commit_and_all_that_depends_on_it(house)
    house.fail = lambda name: None
    in_use = house.head(MODEL).id
    last = house.put(TRAINING, {"/a.png": "C"})
    assert house.head(MODEL).id == in_use
    house.run("train", "export", commit_set=last)
    assert house.content(house.output(CHECKPOINT, last)) == {"/weights": "weights(C;64)"}
    assert house.head(MODEL).id == last


def test_a_failure_leaves_the_commit_open_for_the_next_attempt(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})

    def fail(name: str) -> None:
        raise OSError(28, "No space left on device")

    house.fail = fail
    with pytest.raises(OSError, match="No space left"):
        house.fill("train", set_id)
    assert house.output(CHECKPOINT, set_id).state == "open"
    house.fail = lambda name: None
    assert house.fill("train", set_id).state == "good"


def test_hyperparameters_of_a_run_open_a_fresh_set_and_stay_with_it(house: House) -> None:
    first = trained(house)
    commit = house.fill("train", train={"size": "32"})
    assert commit.id != first
    assert house.content(commit) == {"/weights": "weights(A;32)"}
    exported = house.fill("export", commit.id)
    assert house.content(exported) == {"/model": "model(weights(A;32);32)"}
    assert house.head(MODEL).id == first, "such a model is promoted only by hand"
    assert f"hyperparameters.{commit.id}" in house.head(TRAINING).metadata


def test_hyperparameters_cannot_be_given_to_a_set_that_is_there(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(RequestError, match="leave the set out"):
        house.fill("train", set_id, train={"size": "32"})


def test_promote_never_leaves_the_model_in_use(house: House) -> None:
    first = trained(house)
    last = house.put(TRAINING, {"/a.png": "B", "/pix2pix.toml": "promote=never"})
    house.run("train", "export", commit_set=last)
    assert house.output(CANDIDATE, last).state == "good"
    assert house.head(MODEL).id == first


def test_files_of_a_stranger_in_an_open_commit_do_not_stay(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    house.client.pfs.modify_file(_stranger(house, set_id))
    house.fill("train", set_id)
    assert house.content(house.output(CHECKPOINT, set_id)) == {"/weights": "weights(A;64)"}


def test_what_a_late_writer_changed_is_marked_and_made_again(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.put(INPUT_IMAGES, {"/1.jpg": "1", "/2.jpg": "2"})
    really_finish = attempt.finish

    def late(client: Connection, commit: Commit, *rest: Any, **more: Any) -> Commit:
        at = pfs.ModifyFileRequest(set_commit=client.commit(commit.repo, commit.id))
        gone = pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path="/1.png"))
        client.pfs.modify_file(iter((at, gone, pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/2.png", raw=b"X")))))
        return really_finish(client, commit, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(attempt, "finish", late)
        changed = house.fill("resize")
    assert "/1.png" in inspect(house.client, changed.repo, changed.id).metadata["untrue"]
    fresh = house.fill("resize")
    assert fresh.id != changed.id
    assert house.content(fresh) == {"/1.png": "small(1)", "/2.png": "small(2)"}
    assert house.record(fresh).outcome == "computed"


def _stranger(house: House, set_id: str) -> Iterator[pfs.ModifyFileRequest]:
    yield pfs.ModifyFileRequest(set_commit=house.client.commit("checkpoint", set_id))
    yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/weights", raw=b"not ours"))
    yield pfs.ModifyFileRequest(add_file=pfs.AddFile(path="/stray", raw=b"not ours"))


def test_a_record_that_cannot_be_read_stops_nothing_and_carries_nothing(house: House) -> None:
    first = house.put(INPUT_IMAGES, {"/a.jpg": "1"})
    commit = house.output(PREPROCESS_IMAGES, first)
    publish(house.client, commit, {"/a.png": b"small(1)", "/_report/stage.json": b'{"schema": 99}'}, lambda: None)
    house.client.pfs.finish_commit(commit=house.client.commit(commit.repo, commit.id))
    second = house.put(INPUT_IMAGES, {"/b.jpg": "2"})
    assert house.content(house.fill("resize", second)) == {"/a.png": "small(1)", "/b.png": "small(2)"}
    assert house.worked == [("resize", ("/a.jpg", "/b.jpg"))]


def test_a_file_that_is_no_picture_by_its_name_is_left_out_and_stops_nothing(house: House) -> None:
    others = {"/README.md": "text", "/.DS_Store": "mac", "/cats/._a.png": "mac", "/x.json": "1"}
    first = house.put(INPUT_IMAGES, {"/a.png": "2", **others})
    house.run("resize")
    record = house.record(house.output(PREPROCESS_IMAGES, first))
    assert {(one.path, one.code) for one in record.rejected} == {(path, "NOT_A_PICTURE") for path in others}
    second = house.put(INPUT_IMAGES, {"/a.png": "2", "/x.png": "1"}, mirror=True)
    house.run("resize")
    assert house.content(house.output(PREPROCESS_IMAGES, second)) == {"/a.png": "small(2)", "/x.png": "small(1)"}


def test_results_too_large_for_one_chunk_are_carried_over_too(house: House) -> None:
    house.put(INPUT_IMAGES, {"/a.png": "a" * 1_100_000, "/b.png": "b" * 1_100_000})
    house.run("resize")
    house.worked.clear()
    house.put(INPUT_IMAGES, {"/b.png": "c"})
    house.run("resize")
    assert house.worked == [("resize", ("/b.png",))]


def test_a_set_with_hyperparameters_of_its_own_supersedes_no_other_in_a_run_by_hand(house: House) -> None:
    covered = house.put(TRAINING, {"/a.png": "A"})
    waiting = house.put(TRAINING, {"/a.png": "B"})
    own = open_fresh(house.client, TRAINING, {"train": {"size": "32"}})
    house.run("train", "export")
    assert house.output(CHECKPOINT, covered).error == f"superseded: by {waiting}"
    assert [house.output(CANDIDATE, commit_set).state for commit_set in (waiting, own)] == ["good", "good"]
    assert house.head(MODEL).id == waiting
