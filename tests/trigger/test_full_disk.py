"""A trigger whose disk is full names the cause in one line, waits, and goes on once there is space."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import TriggerHarness
from small_disk import fill, small_disk
from test_trigger_outlasts_absence import serving, until

from pachyderm.client.connection import Target
from pachyderm.errors import StorageError
from pachyderm.store.maintenance.fsck import check
from workflows.daemon.lease import LockFile
from workflows.runners.local import LocalRunner
from workflows.runners.runner import Phase, RunKey

KEY = RunKey("training_and_export", "0" * 32, 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16) as disk:
        yield disk


@pytest.fixture
def target(disk: Path) -> Target:
    return Target(store=disk / "store")


@pytest.fixture
def harness(harness: TriggerHarness, disk: Path) -> TriggerHarness:
    harness.context = replace(harness.context, folder=disk / "store")
    return harness


def test_a_trigger_waits_while_its_disk_is_full_and_then_fills_every_commit(
    harness: TriggerHarness, disk: Path
) -> None:
    made = harness.draw(), harness.train()
    filler = fill(disk)
    with serving(harness):
        until(lambda: harness.messages)
        filler.unlink()
        for repo, commit_set in zip(("generate_images", "model"), made, strict=True):
            until(lambda repo=repo, commit_set=commit_set: harness.output(repo, commit_set).state == "good")
        until(lambda: "connected again" in harness.messages)
    (trouble,) = [line for line in harness.messages if "retrying" in line]
    assert trouble == f"{disk / 'store'}: the disk is full; free some space and try again; retrying"
    assert len(harness.began()) == 4
    assert check(disk / "store") == []


def test_one_pass_of_the_trigger_on_a_full_disk_ends_with_the_cause_and_the_next_pass_works(
    harness: TriggerHarness, disk: Path
) -> None:
    harness.train()
    filler = fill(disk)
    with pytest.raises(StorageError, match=r"/store: the disk is full; free some space and try again"):
        harness.once()
    filler.unlink()
    assert [outcome.state for outcome in harness.once()] == ["good"]


def test_the_lock_is_taken_on_a_full_disk_and_names_its_holder_or_nobody(disk: Path) -> None:
    (disk / "lock").touch()
    fill(disk)
    lock, other = LockFile(disk / "lock"), LockFile(disk / "lock")
    assert lock.is_leader() and not other.is_leader()
    assert other.holder() == ""
    lock.release()


def test_the_end_of_a_run_on_a_full_disk_is_known_at_once_and_recorded_once_there_is_space(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))  # ends before it has recorded anything
    runner = LocalRunner(disk / "runs", {})
    runner.start(KEY, {})
    filler = fill(disk)
    until(runner.poll)
    (state,) = runner.find(KEY)
    assert (state.phase, "its process ended with exit code 1" in state.error) == (Phase.FAILED, True)
    assert runner.close() == ()
    another = replace(KEY, attempt=2)
    with pytest.raises(StorageError, match=r"runs cannot be stored in .*/runs: No space left on device; free"):
        runner.start(another, {})
    assert [path.name for path in (disk / "runs").iterdir()] == [state.run]
    filler.unlink()
    assert runner.find(KEY) == LocalRunner(disk / "runs", {}).find(KEY) == (state,)
    runner.start(another, {})
    until(runner.poll)
