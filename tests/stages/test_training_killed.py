"""A training whose process is killed resumes from its last save, even on another machine."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from own_target import project_at, set_up_at
from served import absentable

from components.train.stage import STAGE
from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection, Target
from pachyderm.client.files import read
from pachyderm.client.upload import put
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.output.output_commit import fill_set
from pachyderm.output.worker import Worker
from pachyderm.queue.claims import claims_of
from pachyderm.record.stage_record import read_record

PROGRAM = Path(__file__).with_name("training_attempt.py")
WEIGHTS = "/checkpoint/generator.npz"
PARAMETERS = """
[train]
size = 32
scale_size = 36
ngf = 4
ndf = 4
discriminator_layers = 2
batch_size = 2
max_steps = {steps}
log_steps = 5
evaluation_steps = 20
save_steps = 1
"""


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Target]:
    """Return a Pachyderm that several processes reach at an address."""
    with absentable(tmp_path / "store") as server:
        yield project_at(f"grpc://{server.address}", tmp_path)


def committed(client: Connection, folder: Path, parameters: str) -> str:
    """Commit pairs and return the id of the commit set."""
    from PIL import Image

    folder.mkdir()
    sources = {}
    for number in range(4):
        sources[f"/{number}.png"] = folder / f"{number}.png"
        Image.new("RGB", (64, 32), (40 * number, 90, 200 - 40 * number)).save(sources[f"/{number}.png"])
    (folder / "pix2pix.toml").write_text(parameters)
    commit = put(client, TRAINING, {**sources, "/pix2pix.toml": folder / "pix2pix.toml"}).commit
    assert commit is not None
    return commit


def killed(target: Target, arguments: list[str], after_saves: int) -> tuple[int, int]:
    """Run an attempt and kill it after its n-th save; return its last step and its last saved step."""
    step = saved = 0
    environment = {**os.environ, "PACHD_ADDRESS": str(target.pachd), "PACH_PROJECT": target.project}
    command = [sys.executable, str(PROGRAM), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            word, _, number = line.strip().partition(" ")
            if word == "step":
                step = int(number)
            if word == "saved":
                saved, after_saves = int(number), after_saves - 1
                if not after_saves:
                    process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return step, saved


def check_kills(target: Target, tmp_path: Path, kills: int, seed: int) -> None:
    draw, parameters = random.Random(seed), PARAMETERS.format(steps=10 + 3 * kills)
    with set_up_at(target) as client:
        commit_set = committed(client, tmp_path / "pairs", parameters)
        saved = 0
        for number in range(kills):
            arguments = [str(tmp_path / f"pod{number}"), "run", commit_set]
            step, last_saved = killed(target, arguments, draw.randint(1, 3))
            assert last_saved > saved, "the next attempt starts from what was saved"
            assert step <= last_saved + 3, "one step and one save are under way at most"
            saved = last_saved
        last = tmp_path / "last"
        last.mkdir()
        worker = Worker("run", "last", last, lambda done, total, note: None, keeps=False, pause=_no_waiting)
        filled, _ = fill_set(client, STAGE, commit_set, {}, worker)
        record = read_record(client, CHECKPOINT.repo, filled.id)
        assert record is not None
        (resumed,) = [note for note in record.notes if "resumed at step" in note]
        assert int(resumed.rstrip(".").rpartition(" ")[2]) >= saved, "steps before the last save are repeated"
        assert len(claims_of(inspect(client, CHECKPOINT.repo, commit_set).metadata)) == kills + 1
        assert read(client, CHECKPOINT.repo, filled.id, WEIGHTS) == uninterrupted(tmp_path, parameters)


def uninterrupted(tmp_path: Path, parameters: str) -> bytes:
    from pix2pix.hyperparameters import resolve
    from pix2pix.training.train import train

    text = dict(line.split(" = ") for line in parameters.splitlines() if "=" in line)
    pairs, work = tmp_path / "pairs", tmp_path / "uninterrupted"
    (pairs / "pix2pix.toml").unlink()
    train(pairs, work, resolve("train", {name: int(value) for name, value in text.items()}))
    return (work / "checkpoint" / "generator.npz").read_bytes()


def _no_waiting(seconds: float) -> None:
    raise AssertionError("the attempt waited for the claim of its own run's lost attempt")


pytestmark = pytest.mark.usefixtures("eager")


def test_a_training_that_is_killed_goes_on_from_its_last_save_to_the_same_weights(
    target: Target, tmp_path: Path
) -> None:
    check_kills(target, tmp_path, kills=1, seed=1)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_training_that_is_killed_ten_times_goes_on_to_the_same_weights(
    target: Target, tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    check_kills(target, tmp_path, kills=volume(10, 2), seed=2)
