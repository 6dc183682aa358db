"""The next attempt finds unfinished work, even on another machine; it is deleted once the work is done."""

from __future__ import annotations

import shutil
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from dying import Killed, living
from stage_harness import StageHarness

from pachyderm.client.commits import head, history
from pachyderm.client.files import files
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import StageContext, StageOutput
from pachyderm.output.work_in_progress import UNFINISHED, Saved, UnfinishedWork, kept
from pachyderm.queue.claims import give_back, take

FINGERPRINT = "f" * 64


def interrupted(harness: StageHarness, set_id: str, folder: Path, *, fails: bool, keeps: bool = False) -> list[str]:
    """Run one attempt in a separate scratch folder and return what it found of an earlier one."""
    found: list[str] = []

    def work(context: StageContext) -> StageOutput:
        found.extend(path.read_text() for path in sorted(context.keep.rglob("*")) if path.is_file())
        (context.keep / "state").mkdir(exist_ok=True)
        (context.keep / "state" / "step").write_text(f"{len(found) + 1}")
        if fails:
            raise OSError(5, "the node is gone")
        out = context.scratch / "out"
        out.write_text("done")
        return StageOutput({"/weights": out})

    folder.mkdir()
    stage = replace(harness.stages()["train"], work=work)
    worker = replace(harness.worker(), scratch=folder, keeps=keeps)
    fill_set(harness.client, stage, set_id, {}, worker)
    return found


def test_an_attempt_on_another_machine_goes_on_where_the_last_one_stopped(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(OSError, match="node is gone"):
        interrupted(harness, set_id, harness.folder / "one", fails=True)
    assert interrupted(harness, set_id, harness.folder / "two", fails=False) == ["1"]
    assert harness.output(CHECKPOINT, set_id).state == "good"


def test_what_was_kept_is_forgotten_when_the_work_is_done(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(OSError, match="node is gone"):
        interrupted(harness, set_id, harness.folder / "one", fails=True)
    interrupted(harness, set_id, harness.folder / "two", fails=False)
    newest = head(harness.client, UNFINISHED)
    assert files(harness.client, newest.repo, newest.id) == {}


def test_other_work_does_not_find_it(harness: StageHarness) -> None:
    first = harness.put(TRAINING, {"/a.png": "A"})
    with pytest.raises(OSError, match="node is gone"):
        interrupted(harness, first, harness.folder / "one", fails=True)
    second = harness.put(TRAINING, {"/a.png": "B"})
    harness.fill("train", first)
    assert interrupted(harness, second, harness.folder / "two", fails=False) == []


@pytest.fixture
def folder(harness: StageHarness) -> Path:
    folder = harness.folder / "keep"
    folder.mkdir()
    return folder


def fetched(harness: StageHarness, fingerprint: str = FINGERPRINT) -> dict[str, str]:
    """Return what an attempt on another machine finds: path -> text."""
    folder = harness.folder / uuid.uuid4().hex
    folder.mkdir()
    UnfinishedWork(harness.client, fingerprint, folder).fetch()
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_older_versions_are_squashed(harness: StageHarness, folder: Path) -> None:
    unfinished = UnfinishedWork(harness.client, FINGERPRINT, folder)
    for step in range(4):
        (folder / "step").write_text(str(step))
        unfinished.save()
    assert len(list(history(harness.client, UNFINISHED))) == 1
    assert fetched(harness) == {"step": "3"}
    unfinished.forget()
    assert fetched(harness) == {}


def test_a_save_sends_only_what_changed(harness: StageHarness, folder: Path) -> None:
    unfinished = UnfinishedWork(harness.client, FINGERPRINT, folder)
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
    assert fetched(harness) == {"history": "one\ntwo\n", "states/2/weights": "2" * 1000}


def test_what_was_fetched_is_not_sent_back(harness: StageHarness, folder: Path) -> None:
    (folder / "weights").write_text("1")
    UnfinishedWork(harness.client, FINGERPRINT, folder).save()
    other = harness.folder / "other"
    other.mkdir()
    unfinished = UnfinishedWork(harness.client, FINGERPRINT, other)
    unfinished.fetch()
    (other / "more").write_text("2")
    assert unfinished.save().files == ("more",)


def test_what_another_attempt_changed_on_the_server_is_sent_again(harness: StageHarness, folder: Path) -> None:
    (folder / "weights").write_text("newer")
    unfinished = UnfinishedWork(harness.client, FINGERPRINT, folder)
    unfinished.save()
    late = harness.folder / "late"
    late.mkdir()
    (late / "weights").write_text("older")
    UnfinishedWork(harness.client, FINGERPRINT, late).save()
    assert unfinished.save().files == ("weights",)
    assert fetched(harness) == {"weights": "newer"}


def test_works_at_once_do_not_disturb_each_other(harness: StageHarness, folder: Path) -> None:
    (folder / "step").write_text("1")
    other = UnfinishedWork(harness.client, "e" * 64, folder)
    other.save()
    unfinished = UnfinishedWork(harness.client, FINGERPRINT, folder)
    unfinished.save()
    unfinished.forget()
    assert (fetched(harness), fetched(harness, "e" * 64)) == ({}, {"step": "1"})


def test_a_commit_that_somebody_left_open_costs_the_save_and_nothing_else(
    harness: StageHarness, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "step").write_text("1")
    UnfinishedWork(harness.client, FINGERPRINT, folder).save()
    harness.client.pfs.start_commit(branch=harness.client.branch(UNFINISHED))
    with kept(harness.client, FINGERPRINT, folder, lambda client: None) as save:
        save()
        assert "is still open" in caplog.text
        assert fetched(harness) == {"step": "1"}


def test_what_was_saved_survives_a_pod_that_is_lost_without_a_signal(
    harness: StageHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt sends no request after its save: no error handler of a killed process runs."""
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    with living(monkeypatch) as life:
        client = harness.client.another()

        def work(context: StageContext) -> StageOutput:
            (context.keep / "step").write_text("1")
            context.save()
            (context.keep / "step").write_text("2")
            life.last = len(life.requests) + 1
            raise Killed

        worker = replace(harness.worker(), scratch=harness.folder / "lost", keeps=False)
        worker.scratch.mkdir()
        with pytest.raises(Killed):
            fill_set(client, replace(harness.stages()["train"], work=work), set_id, {}, worker)
    assert interrupted(harness, set_id, harness.folder / "next", fails=False) == ["1"]


def test_an_attempt_that_was_taken_over_saves_nothing(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    saved: list[dict[str, str]] = []

    def work(context: StageContext) -> StageOutput:
        take(harness.client, harness.output(CHECKPOINT, set_id), "other", "1", over="stale")
        (context.keep / "step").write_text("late")
        context.save()
        (fingerprint,) = (path.name for path in (harness.folder / "paused" / "keep").iterdir())
        saved.append(fetched(harness, fingerprint))
        give_back(harness.client, harness.output(CHECKPOINT, set_id), 2, "its run is over")
        raise OSError(5, "the node is gone")

    worker = replace(harness.worker(), scratch=harness.folder / "paused", keeps=False)
    worker.scratch.mkdir()
    stage = harness.stages()["train"]
    works = iter([work, stage.work])
    fill_set(harness.client, replace(stage, work=lambda context: next(works)(context)), set_id, {}, worker)
    assert saved == [{}]


def test_on_a_machine_that_keeps_its_scratch_nothing_is_saved_elsewhere(harness: StageHarness) -> None:
    set_id = harness.put(TRAINING, {"/a.png": "A"})
    interrupted(harness, set_id, harness.folder / "one", fails=False, keeps=True)
    assert UNFINISHED.repo not in {info.repo.name for info in harness.client.pfs.list_repo()}
