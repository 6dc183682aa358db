"""Kills of the trigger together with its runs, while they train, export, resize and generate with the real model."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from test_main_job import TRAIN, Laptop

from pachyderm.client.commits import all_commits, inspect
from pachyderm.client.connection import connect
from pachyderm.dag.repos import PIPELINES, PROVENANCE
from pachyderm.fsck.check import fsck
from pachyderm.queue.claims import claims_of
from pachyderm.store.maintenance.fsck import check
from pix2pix.facades import generator

SETTINGS = """
poll_interval = 0.2
max_concurrent_runs = 2
[policy.training_and_export]
attempts = 1
backoff = 0.0
interruptions = 1000
[policy.preprocessing_and_generation]
attempts = 1
backoff = 0.0
interruptions = 1000
"""
"""A single error of the work fails a commit set; a kill does not count."""

SEED = int(os.environ.get("KILLS_SEED", "15"))
"""Of the random kills: with another one, `--volume 0.1` makes another tenth of them."""

ENDS_WITHIN = 600.0
"""Seconds that a commit set may take once nothing kills it any more."""


class Killed:
    """A laptop whose trigger has a folder for temporary files of its own; each of its runs has another one."""

    def __init__(self, folder: Path) -> None:
        self.laptop = Laptop(folder)
        self.settings = folder / "trigger.toml"
        self.settings.write_text(SETTINGS)
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._trigger: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the trigger, which goes on until it is killed or stopped."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("PACH", "PIX2PIX"))}
        command = ["-m", "cli.main", "-q", "--store", str(self.laptop.target.store), "trigger", "--config"]
        self._trigger = subprocess.Popen(
            [sys.executable, *command, str(self.settings)],
            env={**environment, "TMPDIR": str(self.temporary)},
            start_new_session=True,
        )

    def processes(self) -> list[psutil.Process]:
        """Return the trigger and every process of its runs, known by their folder for temporary files."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("TMPDIR", "").startswith(str(self.laptop.folder)):
                    found.append(process)
        return found

    def kill(self) -> int:
        """Kill the trigger and everything that it started, at once; return how many processes were alive."""
        victims = self.processes()
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
        assert self._trigger is not None
        self._trigger.wait()
        return len(victims)

    def stop(self) -> None:
        """Stop the trigger as systemd does."""
        assert self._trigger is not None
        self._trigger.send_signal(signal.SIGTERM)
        self._trigger.wait(30)


@pytest.fixture
def killed(tmp_path: Path) -> Iterator[Killed]:
    killed = Killed(tmp_path)
    killed.laptop.type("setup")
    yield killed
    for process in killed.processes():
        process.kill()


def commit(killed: Killed, number: int) -> list[tuple[str, str]]:
    """Commit new pairs and a new picture; return the last output commit of each commit set."""
    folder = killed.laptop.folder / str(number)
    generator.make_pairs(folder / "pairs", 4, 32, seed=number)
    (folder / "pairs" / "pix2pix.toml").write_text(TRAIN)
    generator.make_labels(folder / "labels", 1, 32, seed=number)
    (folder / "labels" / "pix2pix.toml").write_text("[resize]\nsize = 32\n")
    outputs = []
    for repo, source, pipeline in zip(("training", "input_images"), ("pairs", "labels"), PIPELINES, strict=True):
        made = killed.laptop.type("put", repo, folder / source, "--mirror")["commit"]
        outputs.append((pipeline.outputs[-1].repo, made))
    return outputs


def ended(killed: Killed, outputs: list[tuple[str, str]]) -> bool:
    with connect(killed.laptop.target) as client:
        return all(inspect(client, repo, set_id).ended for repo, set_id in outputs)


def kills(killed: Killed, count: int, rng: random.Random) -> None:
    """Kill again and again, up to twelve times at each pair of commits, which then come to their end."""
    done, number, never = 0, 0, threading.Event()
    sets: list[tuple[str, str]] = []
    while done < count:
        outputs = commit(killed, number)
        for _ in range(min(rng.randint(1, 12), count - done)):
            killed.start()
            never.wait(rng.uniform(1.0, 12.0))
            done += killed.kill() > 0
        killed.start()
        end = time.monotonic() + ENDS_WITHIN
        while not ended(killed, outputs):
            assert time.monotonic() < end, "the commits did not end in time"
            never.wait(0.5)
        killed.stop()
        sets += outputs
        number += 1
        print(f"kills: {done}, commit sets: {len(sets)}", flush=True)  # noqa: T201
    # A promoted model has opened one more commit of generate_images.
    units = killed.laptop.type("trigger", "--once", "--config", killed.settings)["units"]
    assert {unit["state"] for unit in units} <= {"good"}, units
    one_result_each(killed, sets)


def one_result_each(killed: Killed, sets: list[tuple[str, str]]) -> None:
    """Nothing is lost, doubled or left: no process, no temporary folder, no finding of either fsck."""
    with connect(killed.laptop.target) as client:
        for repo, set_id in sets:
            made = inspect(client, repo, set_id)
            assert made.state == "good", (str(made), made.error)
            assert claims_of(made.metadata)[-1].over is not None
        for repo in {branch.repo for branch in PROVENANCE}:
            # Under `latest`, a commit that a newer one covers may end as superseded.
            assert {made.state for made in all_commits(client, repo)} <= {"good", "superseded"}
        assert fsck(client, now=time.time()).problems == ()
    assert check(killed.laptop.target.store) == []
    assert killed.processes() == []
    assert list(killed.temporary.iterdir()) == []
    scratch = killed.laptop.target.store / "scratch"
    assert [path.name for path in scratch.iterdir() if path.name != "keep"] == []


@pytest.mark.long
@pytest.mark.timeout(14400)
def test_300_kills_of_the_trigger_with_its_real_trainings_lose_double_and_leave_nothing(
    killed: Killed, volume: Callable[[int, int], int]
) -> None:
    kills(killed, volume(300, 2), random.Random(SEED))
