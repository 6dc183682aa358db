"""A training that was stopped, killed or damaged anywhere is resumed to the same bits."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from tiny_model import tiny, write_pairs

from pix2pix.errors import InputError
from pix2pix.training import checkpoints
from pix2pix.training.train import train

PARAMETERS = tiny(
    max_steps=9,
    log_steps=4,
    evaluation_steps=3,
    scale_size=36,
    flip=True,
    held_out=0.3,
    keep_checkpoints=3,
    keep_best="ssim",
)


pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_pairs(tmp_path_factory.mktemp("pairs"), 8)


@pytest.fixture(scope="module")
def uninterrupted(pairs, tmp_path_factory):
    work = tmp_path_factory.mktemp("uninterrupted")
    train(pairs, work, PARAMETERS)
    return result(work)


def result(work: Path):
    """Everything that a training writes, without times."""
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line.pop("seconds", None)
        line.pop("images_per_second", None)
    names = ("checkpoint/generator.npz", "checkpoint/discriminator.npz", "samples/grid.png", "samples/over_time.png")
    states = {
        step: checkpoints.read(work / "state" / "checkpoints" / str(step), "optimizer").arrays["optimizer"]
        for step in checkpoints.steps(work / "state" / "checkpoints")
    }
    return lines, [(work / name).read_bytes() for name in names], states[max(states)]


def assert_same(found, expected):
    assert found[0] == expected[0]
    assert found[1] == expected[1]
    for name in found[2]:
        np.testing.assert_array_equal(found[2][name], expected[2][name])


class AtStep:
    """A `stop` that returns True at its `calls`-th call."""

    def __init__(self, calls: int) -> None:
        self.left = calls

    def __call__(self) -> bool:
        self.left -= 1
        return self.left == 0


@pytest.mark.parametrize("stops", [(1,), (5,), (2, 1, 3)], ids=str)
def test_stopped_and_started_again_equals_uninterrupted(pairs, tmp_path, uninterrupted, stops):
    done = 0
    for steps in stops:
        outcome = train(pairs, tmp_path, PARAMETERS, stop=AtStep(steps))
        assert (outcome.resumed_from, outcome.step, outcome.finished) == (done, done + steps, False)
        assert not (tmp_path / "checkpoint").exists()
        done += steps
    outcome = train(pairs, tmp_path, PARAMETERS)
    assert (outcome.resumed_from, outcome.step, outcome.finished) == (done, 9, True)
    assert_same(result(tmp_path), uninterrupted)


def test_more_steps_resume_from_the_end(pairs, tmp_path, uninterrupted):
    train(pairs, tmp_path, dataclasses.replace(PARAMETERS, max_steps=6))
    outcome = train(pairs, tmp_path, PARAMETERS)
    assert outcome.resumed_from == 6
    assert result(tmp_path)[1][0] == uninterrupted[1][0]


def test_a_truncated_checkpoint_is_skipped_and_the_result_is_the_same(pairs, tmp_path, uninterrupted, caplog):
    train(pairs, tmp_path, PARAMETERS, stop=AtStep(4))
    train(pairs, tmp_path, PARAMETERS, stop=AtStep(2))
    states = tmp_path / "state" / "checkpoints"
    file = states / "6" / "optimizer.npz"
    file.write_bytes(file.read_bytes()[:-100])
    outcome = train(pairs, tmp_path, PARAMETERS)
    assert outcome.resumed_from == 4
    assert "checkpoints/6 is damaged or truncated" in caplog.text
    assert_same(result(tmp_path), uninterrupted)


def test_a_checkpoint_with_flipped_bits_is_skipped_whatever_its_parser_raises(pairs, tmp_path, caplog):
    train(pairs, tmp_path, PARAMETERS, stop=AtStep(1))
    train(pairs, tmp_path, PARAMETERS, stop=AtStep(1))
    file = tmp_path / "state" / "checkpoints" / "2" / "generator.npz"
    data = bytearray(file.read_bytes())
    data[8] ^= 0x40  # the method of compression of the first entry, twice
    data[data.index(b"PK\x01\x02") + 10] ^= 0x40
    file.write_bytes(data)
    outcome = train(pairs, tmp_path, PARAMETERS, stop=AtStep(1))
    assert outcome.resumed_from == 1
    assert "generator.npz: NotImplementedError" in caplog.text


@pytest.mark.parametrize("held_out", [0.3, 0.0])
@pytest.mark.parametrize(("evaluation_steps", "stopped", "end"), [(0, 2, 1), (0, 2, 2), (2, 3, 3)])
def test_a_stopped_training_can_end_at_its_present_step_and_is_evaluated_there(
    pairs, tmp_path, held_out, evaluation_steps, stopped, end
):
    parameters = tiny(max_steps=4000, evaluation_steps=evaluation_steps, held_out=held_out)
    train(pairs, tmp_path, parameters, stop=AtStep(stopped))
    outcome = train(pairs, tmp_path, dataclasses.replace(parameters, max_steps=end))
    assert (outcome.finished, outcome.step) == (True, stopped)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    found = [line for line in lines if line["step"] == stopped]
    assert [[*({"losses", "held_out"} & {*line})] for line in found] == [["losses"], ["held_out"]][: 1 + bool(held_out)]
    assert outcome.metrics["loss_l1"] == found[0]["losses"]["l1"]
    assert {name: outcome.metrics.get(name) for name in ("l1", "psnr", "ssim")} == (
        found[1]["held_out"] if held_out else dict.fromkeys(("l1", "psnr", "ssim"))
    )
    assert checkpoints.read(tmp_path / "checkpoint").metrics == outcome.metrics
    assert (tmp_path / "state" / "samples" / f"{stopped:010d}.png").exists()
    again = train(pairs, tmp_path, dataclasses.replace(parameters, max_steps=end))
    assert again.metrics == outcome.metrics
    assert len((tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()) == len(lines)


def test_no_readable_checkpoint_at_all_is_refused_with_the_remedy(pairs, tmp_path):
    train(pairs, tmp_path, PARAMETERS, stop=AtStep(1))
    (tmp_path / "state" / "checkpoints" / "1" / "generator.npz").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"no checkpoint in .* can be read; remove the folder to start over"):
        train(pairs, tmp_path, PARAMETERS)


def test_half_written_files_of_a_crash_are_ignored(pairs, tmp_path, uninterrupted):
    train(pairs, tmp_path, PARAMETERS, stop=AtStep(4))
    partial = tmp_path / "state" / "checkpoints" / "5.part"
    partial.mkdir()
    (partial / "generator.npz").write_bytes(b"half")
    with (tmp_path / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 5, "held_out": {"l1": 9}}\n{"step": 6, "hel')
    train(pairs, tmp_path, PARAMETERS)
    assert_same(result(tmp_path), uninterrupted)


PROGRAM = """
import json, sys
from pathlib import Path
from pix2pix.hyperparameters import resolve
import tensorflow as tf
from pix2pix.training.train import train
tf.config.run_functions_eagerly(True)
def report(step, total, note):
    print(step, flush=True)
train(Path(sys.argv[1]), Path(sys.argv[2]), resolve("train", json.loads(sys.argv[3])), progress=report)
"""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_killed_at_twenty_random_moments_equals_uninterrupted(pairs, tmp_path, volume):
    parameters = dataclasses.replace(PARAMETERS, max_steps=80, save_steps=1, keep_best="last", evaluation_steps=20)
    train(pairs, tmp_path / "whole", parameters)
    draw = random.Random(4)
    arguments = [str(pairs), str(tmp_path / "killed"), json.dumps(dataclasses.asdict(parameters))]
    for _ in range(volume(20, 3)):
        with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE) as run:
            assert run.stdout is not None
            for _ in range(draw.randint(1, 4)):
                run.stdout.readline()
            time.sleep(draw.random() * 0.5)
            run.send_signal(signal.SIGKILL)
    subprocess.run([sys.executable, "-c", PROGRAM, *arguments], check=True, stdout=subprocess.DEVNULL)
    assert_same(result(tmp_path / "killed"), result(tmp_path / "whole"))
