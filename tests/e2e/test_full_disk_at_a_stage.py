"""A disk that fills up while a stage works, with the real model: one line, and all commits end good after that."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from small_disk import fill, small_disk
from test_killed_trainings import Killed, commit, ended

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import head
from pachyderm.client.connection import connect
from pachyderm.dag.repos import PIPELINES, PROVENANCE
from pachyderm.fsck.check import fsck
from pachyderm.queue.claims import live_claim
from pachyderm.store.maintenance.fsck import check

SETTINGS = """
poll_interval = 0.2
[policy.training_and_export]
backoff = 0.0
[policy.preprocessing_and_generation]
backoff = 0.0
"""

OUTPUTS = [branch for pipeline in PIPELINES for branch in pipeline.outputs]


def until(condition: Callable[[], object], seconds: float = 900.0) -> None:
    end, tick = time.monotonic() + seconds, threading.Event()
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        tick.wait(0.05)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("branch", OUTPUTS, ids=lambda branch: branch.repo)
def test_a_disk_that_fills_up_during_a_stage_costs_time_and_no_commit(tmp_path: Path, branch: BranchName) -> None:
    log = tmp_path / "log"
    with small_disk(tmp_path / "disk", 64) as disk:
        killed = Killed(disk)
        killed.settings.write_text(SETTINGS)
        killed.laptop.type("setup")
        outputs = commit(killed, 0)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PACH", "PIX2PIX"))}
        command = ["-m", "cli.main", "--store", str(disk / "store"), "trigger", "--config", str(killed.settings)]
        with log.open("wb") as stream:
            trigger = subprocess.Popen(
                [sys.executable, *command],
                stderr=stream,
                env={**environment, "TMPDIR": str(killed.temporary)},
                start_new_session=True,
            )
        try:
            with connect(killed.laptop.target) as client:
                until(lambda: live_claim(head(client, branch).metadata) is not None)
            filler = fill(disk)
            until(lambda: "; retrying" in log.read_text(errors="replace"))
            filler.unlink()
            until(lambda: ended(killed, outputs))
        finally:
            trigger.terminate()
            trigger.wait(60)
        (line,) = [line for line in log.read_text(errors="replace").splitlines() if line.endswith("; retrying")]
        assert "full" in line or "No space left" in line
        assert {unit["state"] for unit in killed.laptop.type("trigger", "--once")["units"]} <= {"good"}
        with connect(killed.laptop.target) as client:
            states = {head(client, output).state for output in PROVENANCE}
            assert states == {"good"}
            assert fsck(client, now=time.time()).problems == ()
        assert check(disk / "store") == []
        assert list(killed.temporary.iterdir()) == []
