"""Unfinished work is found by the next attempt, also on another machine, and is forgotten when the work is done."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from dying import Killed, living
from stage_harness import House

from pachyderm.client.commits import head, history
from pachyderm.client.files import files
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import StageContext, StageOutput
from pachyderm.output.work_in_progress import UNFINISHED, Saved, UnfinishedWork, kept
from pachyderm.queue.claims import give_back, take

FINGERPRINT = "f" * 64


def interrupted(house: House, set_id: str, folder: Path, *, fails: bool, keeps: bool = False) -> list[str]:
    """One attempt in a scratch folder of its own; what it found of an earlier one."""
    found: list[str] = []

    def work(job: StageContext) -> StageOutput:
        found.extend(path.read_text() for path in sorted(job.keep.rglob("*")) if path.is_file())
        (job.keep / "state").mkdir(exist_ok=True)
        (job.keep / "state" / "step").write_text(f"{len(found) + 1}")
        if fails:
            raise OSError(5, "the node is gone")
        out = job.scratch / "out"
        out.write_text("done")
        return StageOutput({"/weights": out})

    folder.mkdir()
    stage = replace(house.stages()["train"], work=work)
    attempt = replace(house.attempt(), scratch=folder, keeps=keeps)
    fill_set(house.client, stage, set_id, {}, attempt)
    return found


def test_an_attempt_on_another_machine_goes_on_where_the_last_one_stopped(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(OSError, match="node is gone"):
        interrupted(house, set_id, house.folder / "one", fails=True)
    assert interrupted(house, set_id, house.folder / "two", fails=False) == ["1"]
    assert house.output(CHECKPOINT, set_id).state == "good"


def test_what_was_kept_is_forgotten_when_the_work_is_done(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(OSError, match="node is gone"):
        interrupted(house, set_id, house.folder / "one", fails=True)
    interrupted(house, set_id, house.folder / "two", fails=False)
    newest = head(house.client, UNFINISHED)
    assert files(house.client, newest.repo, newest.id) == {}


def test_other_work_does_not_find_it(house: House) -> None:
    first = house.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(OSError, match="node is gone"):
        interrupted(house, first, house.folder / "one", fails=True)
    second = house.put(TRAINING, {"/a.png": "B"})
    house.fill("train", first)
    assert interrupted(house, second, house.folder / "two", fails=False) == []


@pytest.fixture
def folder(house: House) -> Path:
    folder = house.folder / "keep"
    folder.mkdir()
    return folder


def fetched(house: House, fingerprint: str = FINGERPRINT) -> dict[str, str]:
    """What an attempt on another machine finds: path -> text."""
    folder = house.folder / uuid.uuid4().hex
    folder.mkdir()
    UnfinishedWork(house.client, fingerprint, folder).fetch()
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_older_versions_are_squashed(house: House, folder: Path) -> None:
    unfinished = UnfinishedWork(house.client, FINGERPRINT, folder)
    for step in range(4):
        (folder / "step").write_text(str(step))
        unfinished.save()
    assert len(list(history(house.client, UNFINISHED))) == 1
    assert fetched(house) == {"step": "3"}
    unfinished.forget()
    assert fetched(house) == {}


def test_a_save_sends_only_what_changed(house: House, folder: Path) -> None:
    unfinished = UnfinishedWork(house.client, FINGERPRINT, folder)
    (folder / "states" / "1").mkdir(parents=True)
    (folder / "states" / "1" / "weights").write_text("1" * 1000)
    (folder / "history").write_text("one\n")
    assert unfinished.save() == Saved(("history", "states/1/weights"), 1004)
    assert unfinished.save() == Saved(), "nothing changed"
    with (folder / "history").open("a") as history:
        history.write("two\n")
    (folder / "states" / "2").mkdir()
    (folder / "states" / "2" / "weights").write_text("2" * 1000)
    assert unfinished.save() == Saved(("history", "states/2/weights"), 1008)
    shutil.rmtree(folder / "states" / "1")
    assert unfinished.save() == Saved()
    assert fetched(house) == {"history": "one\ntwo\n", "states/2/weights": "2" * 1000}


def test_what_was_fetched_is_not_sent_back(house: House, folder: Path) -> None:
    (folder / "weights").write_text("1")
    UnfinishedWork(house.client, FINGERPRINT, folder).save()
    other = house.folder / "other"
    other.mkdir()
    unfinished = UnfinishedWork(house.client, FINGERPRINT, other)
    unfinished.fetch()
    (other / "more").write_text("2")
    assert unfinished.save().files == ("more",)


def test_what_another_attempt_changed_on_the_server_is_sent_again(house: House, folder: Path) -> None:
    (folder / "weights").write_text("newer")
    unfinished = UnfinishedWork(house.client, FINGERPRINT, folder)
    unfinished.save()
    late = house.folder / "late"
    late.mkdir()
    (late / "weights").write_text("older")
    UnfinishedWork(house.client, FINGERPRINT, late).save()
    assert unfinished.save().files == ("weights",)
    assert fetched(house) == {"weights": "newer"}


def test_works_at_once_do_not_disturb_each_other(house: House, folder: Path) -> None:
    (folder / "step").write_text("1")
    other = UnfinishedWork(house.client, "e" * 64, folder)
    other.save()
    unfinished = UnfinishedWork(house.client, FINGERPRINT, folder)
    unfinished.save()
    unfinished.forget()
    assert (fetched(house), fetched(house, "e" * 64)) == ({}, {"step": "1"})


def test_a_commit_that_somebody_left_open_costs_the_save_and_nothing_else(
    house: House, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "step").write_text("1")
    UnfinishedWork(house.client, FINGERPRINT, folder).save()
    house.client.pfs.start_commit(branch=house.client.branch(UNFINISHED))
    with kept(house.client, FINGERPRINT, folder, lambda client: None) as save:
        save()
        assert "is still open" in caplog.text
        assert fetched(house) == {"step": "1"}


def test_what_was_saved_survives_a_pod_that_is_lost_without_a_signal(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No request leaves the first attempt after its save: no handler of a killed process does anything."""
    set_id = house.put(TRAINING, {"/a.png": "A"})
    with living(monkeypatch) as life:
        client = house.client.another()

        def work(job: StageContext) -> StageOutput:
            (job.keep / "step").write_text("1")
            job.save()
            (job.keep / "step").write_text("2")
            life.last = len(life.requests) + 1
            raise Killed

        attempt = replace(house.attempt(), scratch=house.folder / "lost", keeps=False)
        attempt.scratch.mkdir()
        with pytest.raises(Killed):
            fill_set(client, replace(house.stages()["train"], work=work), set_id, {}, attempt)
    assert interrupted(house, set_id, house.folder / "next", fails=False) == ["1"]


def test_an_attempt_that_was_taken_over_saves_nothing(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    saved: list[dict[str, str]] = []

    def work(job: StageContext) -> StageOutput:
        take(house.client, house.output(CHECKPOINT, set_id), "other", "1", over="stale")
        (job.keep / "step").write_text("late")
        job.save()
        (fingerprint,) = (path.name for path in (house.folder / "paused" / "keep").iterdir())
        saved.append(fetched(house, fingerprint))
        give_back(house.client, house.output(CHECKPOINT, set_id), 2, "its run is over")
        raise OSError(5, "the node is gone")

    attempt = replace(house.attempt(), scratch=house.folder / "paused", keeps=False)
    attempt.scratch.mkdir()
    stage = house.stages()["train"]
    works = iter([work, stage.work])
    fill_set(house.client, replace(stage, work=lambda job: next(works)(job)), set_id, {}, attempt)
    assert saved == [{}]


def test_on_a_machine_that_keeps_its_scratch_nothing_is_saved_elsewhere(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    interrupted(house, set_id, house.folder / "one", fails=False, keeps=True)
    assert UNFINISHED.repo not in {info.repo.name for info in house.client.pfs.list_repo()}
