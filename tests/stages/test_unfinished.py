"""Unfinished work is found by the next attempt, also on another machine, and is forgotten when the work is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from stage_harness import House

from pachyderm.client.commits import head, history
from pachyderm.client.files import files
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Job, Made
from pachyderm.output.work_in_progress import UNFINISHED, fetch, forget, kept, save


def interrupted(house: House, set_id: str, folder: Path, *, fails: bool, keeps: bool = False) -> list[str]:
    """One attempt in a scratch folder of its own; what it found of an earlier one."""
    found: list[str] = []

    def work(job: Job) -> Made:
        found.extend(path.read_text() for path in sorted(job.keep.rglob("*")) if path.is_file())
        (job.keep / "state").mkdir(exist_ok=True)
        (job.keep / "state" / "step").write_text(f"{len(found) + 1}")
        if fails:
            raise OSError(5, "the node is gone")
        out = job.scratch / "out"
        out.write_text("done")
        return Made({"/weights": out})

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


def test_older_versions_are_let_go(house: House) -> None:
    folder = house.folder / "keep"
    folder.mkdir()
    for step in range(4):
        (folder / "step").write_text(str(step))
        save(house.client, "f" * 64, folder)
    assert len(list(history(house.client, UNFINISHED))) == 1
    back = house.folder / "back"
    back.mkdir()
    fetch(house.client, "f" * 64, back)
    assert (back / "step").read_text() == "3"
    forget(house.client, "f" * 64)
    newest = head(house.client, UNFINISHED)
    assert files(house.client, newest.repo, newest.id) == {}


def test_it_is_saved_while_the_work_goes_on(house: House) -> None:
    folder = house.folder / "keep"
    folder.mkdir()
    with kept(house.client, "f" * 64, folder, every=0.01):
        (folder / "step").write_text("1")
        back = house.folder / "back"
        back.mkdir()
        while not (back / "step").exists():
            fetch(house.client, "f" * 64, back)
    assert (back / "step").read_text() == "1"


def test_on_a_machine_that_keeps_its_scratch_nothing_is_saved_elsewhere(house: House) -> None:
    set_id = house.put(TRAINING, {"/a.png": "A"})
    interrupted(house, set_id, house.folder / "one", fails=False, keeps=True)
    assert UNFINISHED.repo not in {info.repo.name for info in house.client.pfs.list_repo()}
