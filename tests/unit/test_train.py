"""A training writes results under fixed names, reports its metrics, and fails with a clear message."""

from __future__ import annotations

import dataclasses
import json
import resource
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tiny_model import tiny, write_pairs

from pix2pix.errors import InputError, WorkError
from pix2pix.training import checkpoints
from pix2pix.training.step import TrainingStep
from pix2pix.training.train import train

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = write_pairs(tmp_path_factory.mktemp("pairs"), 12)
    (folder / "broken.png").write_bytes((folder / "000.png").read_bytes()[:200])
    return folder


@pytest.fixture(scope="module")
def trained(pairs, tmp_path_factory):
    work = tmp_path_factory.mktemp("work") / "deep" / "down"
    seen = []
    parameters = tiny(max_steps=12, log_steps=5, evaluation_steps=6, save_steps=5, held_out=0.3)
    return work, train(pairs, work, parameters, progress=lambda *report: seen.append(report)), seen


def test_results_have_fixed_names(trained):
    work, _, _ = trained
    files = {path.relative_to(work).as_posix() for path in work.rglob("*") if path.is_file()}
    assert {name for name in files if not name.startswith("state/")} == {
        "checkpoint/checkpoint.json",
        "checkpoint/discriminator.npz",
        "checkpoint/generator.npz",
        "hyperparameters.json",
        "metrics.jsonl",
        "report.html",
        "samples/grid.png",
        "samples/over_time.png",
    }


def test_the_outcome_is_returned(trained):
    work, outcome, seen = trained
    assert (outcome.step, outcome.resumed_from, outcome.finished) == (12, 0, True)
    assert outcome.train_pairs + outcome.held_out_pairs == 12
    assert [(r.path, r.code) for r in outcome.rejected] == [("broken.png", "TRUNCATED")]
    assert set(outcome.metrics) == {"l1", "psnr", "ssim", "loss_discriminator", "loss_adversarial", "loss_l1"}
    assert 0 < outcome.metrics["l1"] < 2
    assert [step for step, _, _ in seen] == list(range(1, 13))
    assert all(total == 12 and note.startswith("L1 0.") for _, total, note in seen)
    assert checkpoints.read(work / "checkpoint", "generator").metrics == outcome.metrics


def test_the_metrics_log_has_the_losses_and_the_held_out_metrics(trained):
    work, outcome, _ = trained
    lines = [json.loads(line) for line in (work / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["step"] for line in lines if "losses" in line] == [5, 10, 12]
    assert [line["step"] for line in lines if "held_out" in line] == [6, 12]
    assert lines[-1]["held_out"] == {name: outcome.metrics[name] for name in ("l1", "psnr", "ssim")}
    assert set(lines[0]) == {"step", "epoch", "images", "seconds", "images_per_second", "losses"}
    assert lines[0]["epoch"] == pytest.approx(10 / outcome.train_pairs)


def test_tensorboard_gets_the_same_curves_and_the_samples(trained):
    work, outcome, _ = trained
    (events,) = (work / "state" / "tensorboard").iterdir()
    found = {}
    tf.config.run_functions_eagerly(False)
    for record in tf.data.TFRecordDataset(str(events)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            found[value.tag, event.step] = tf.make_ndarray(value.tensor)
    tf.config.run_functions_eagerly(True)
    assert found["held_out/l1", 12] == pytest.approx(outcome.metrics["l1"])
    assert {step for tag, step in found if tag == "losses/discriminator"} == {5, 10, 12}
    assert found["samples", 12][2].startswith(b"\x89PNG")


def test_samples_show_input_outputs_over_time_and_target(trained):
    work, _, _ = trained
    with Image.open(work / "samples" / "grid.png") as grid, Image.open(work / "samples" / "over_time.png") as time:
        assert grid.width == 3 * 32 + 2 * 4
        assert time.width == 4 * 32 + 3 * 4
        assert grid.height == time.height


def test_only_the_last_checkpoints_are_kept(trained):
    work, _, _ = trained
    assert checkpoints.steps(work / "state" / "checkpoints") == [10, 12]


def test_a_finished_training_called_again_writes_the_same_result_at_once(trained, pairs):
    work, outcome, _ = trained
    before = (work / "checkpoint" / "generator.npz").read_bytes()
    shutil.rmtree(work / "checkpoint")
    again = train(pairs, work, tiny(max_steps=12, log_steps=5, evaluation_steps=6, save_steps=5, held_out=0.3))
    assert (again.step, again.resumed_from, again.metrics) == (12, 12, outcome.metrics)
    assert (work / "checkpoint" / "generator.npz").read_bytes() == before


def test_other_hyperparameters_or_pairs_than_those_of_the_state_are_refused(trained, pairs, tmp_path):
    work, _, _ = trained
    with pytest.raises(
        InputError, match=r"other hyperparameters \(ngf 4 -> 8, l1_weight 100.0 -> 1.0\); .* another output"
    ):
        train(pairs, work, tiny(max_steps=12, held_out=0.3, ngf=8, l1_weight=1.0))
    with pytest.raises(InputError, match="other pairs"):
        train(write_pairs(tmp_path, 4), work, tiny(max_steps=12, held_out=0.3))


def test_keep_best_makes_the_best_weights_the_result(pairs, tmp_path):
    parameters = tiny(
        max_steps=8, evaluation_steps=1, held_out=0.3, keep_best="l1", learning_rate=0.05, keep_checkpoints=1
    )
    outcome = train(pairs, tmp_path, parameters)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    held_out = {line["step"]: line["held_out"]["l1"] for line in lines if "held_out" in line}
    best = min(held_out, key=held_out.__getitem__)
    assert outcome.metrics["l1"] == min(held_out.values())
    assert checkpoints.read(tmp_path / "checkpoint").step == best
    assert checkpoints.steps(tmp_path / "state" / "checkpoints") == sorted({best, 8})


def test_one_pair_can_be_learnt_and_nothing_is_measured(tmp_path):
    outcome = train(write_pairs(tmp_path / "one", 1), tmp_path / "work", tiny(max_steps=2))
    assert (outcome.train_pairs, outcome.held_out_pairs, outcome.finished) == (1, 0, True)
    assert "nothing is measured" in outcome.notes[0]
    assert "l1" not in outcome.metrics
    assert "No pairs were held out" in (tmp_path / "work" / "report.html").read_text(encoding="utf-8")


def test_max_seconds_limits_a_training(pairs, tmp_path):
    seconds = iter(range(10_000))
    outcome = train(pairs, tmp_path, tiny(max_seconds=20), clock=lambda: float(next(seconds)))
    assert outcome.finished
    assert 0 < outcome.step < 20
    assert outcome.seconds >= 20


@pytest.mark.parametrize(
    ("poison", "save_steps", "log_steps", "steps", "kept"),
    [(4, 1, 9, "4 and 5", 3), (4, 3, 2, "4 and 5", 3), (1, 0, 1, "1 and 2", None)],
)
def test_a_training_that_diverges_stops_and_keeps_the_last_good_checkpoint(
    pairs, tmp_path, monkeypatch, poison, save_steps, log_steps, steps, kept
):
    class Poisoned(TrainingStep):
        def __call__(self, pictures, seeds, step):
            losses = super().__call__(pictures, seeds, step)
            if step == poison:
                self.generator.weights["d1/bias"].assign([0.0, np.nan, 0.0])
            return losses

    monkeypatch.setattr("pix2pix.training.train.TrainingStep", Poisoned)
    parameters = tiny(max_steps=8, save_steps=save_steps, log_steps=log_steps, evaluation_steps=100)
    message = f"the last good checkpoint, of step {kept}, is kept" if kept else "no checkpoint was due before"
    with pytest.raises(WorkError, match=rf"diverged between steps {steps}: .*; {message}\. .* smaller learning_rate"):
        train(pairs, tmp_path, parameters)
    saved = checkpoints.newest(tmp_path / "state" / "checkpoints", "generator", "discriminator", "optimizer")
    assert (saved.step if saved else None) == kept
    if saved:
        assert all(np.isfinite(values).all() for archive in saved.arrays.values() for values in archive.values())


def test_a_full_disk_is_reported_and_earlier_states_stay(pairs, tmp_path):
    parameters = tiny(max_steps=3, save_steps=1)
    train(pairs, tmp_path, parameters)
    before = sorted(path.read_bytes() for path in (tmp_path / "state" / "checkpoints").rglob("*.npz"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(WorkError, match=r"no space for .* free some and start again"):
            train(pairs, tmp_path, tiny(max_steps=4, save_steps=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert sorted(path.read_bytes() for path in (tmp_path / "state" / "checkpoints").rglob("*.npz")) == before
    assert not list((tmp_path / "state").rglob("*.part"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("checkpoint", None),
        ("checkpoint", "a file"),
        ("metrics.jsonl", '{"accuracy": 1}\n'),
        ("metrics.jsonl", '{"step": 5, "accuracy": 1}\n'),
        ("metrics.jsonl", '{"step": 1, "losses": {}}\n{"accuracy": 1}\n'),
        ("metrics.jsonl", "[1]\n"),
        ("metrics.jsonl", "not JSON"),
        ("metrics.jsonl", None),
    ],
)
def test_files_of_another_program_are_refused_before_training_and_left_alone(pairs, tmp_path, name, content):
    path = tmp_path / name
    if content is None:
        path.mkdir()
        path /= "theirs.txt"
    path.write_text(content or "", encoding="utf-8")
    message = rf"{tmp_path} holds {name}, which is not of a pix2pix training; name another output folder"
    with pytest.raises(InputError, match=message):
        train(pairs, tmp_path, tiny(max_steps=1))
    assert path.read_text(encoding="utf-8") == (content or "")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]


@pytest.mark.parametrize("cut", ["", '{"s', '{"step": 2, "hel'])
def test_a_crash_before_the_first_state_does_not_prevent_a_training(pairs, tmp_path, cut):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "losses": {}}\n' + cut, encoding="utf-8")
    assert train(pairs, tmp_path, tiny(max_steps=1)).finished


def test_a_result_whose_state_was_removed_is_replaced(trained, pairs, tmp_path):
    work = shutil.copytree(trained[0], tmp_path / "work")
    shutil.rmtree(work / "state")
    assert train(pairs, work, tiny(max_steps=1)).finished
    assert checkpoints.read(work / "checkpoint").step == 1


def test_a_work_folder_whose_pictures_would_become_pairs_is_refused(tmp_path):
    pairs = write_pairs(tmp_path / "work" / "samples", 2)
    for work in (pairs, pairs / "deep"):
        with pytest.raises(InputError, match="is inside the input folder"):
            train(pairs, work, tiny(max_steps=1))
    with pytest.raises(InputError, match="would be inside the input folder"):
        train(pairs, tmp_path / "work", tiny(max_steps=1))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file is a file; specify a folder for the results"):
        train(pairs, tmp_path / "file", tiny(max_steps=1))
    assert len(list(tmp_path.rglob("*.png"))) == 2


def test_operations_are_not_fused_during_a_training_and_are_as_before_afterwards(pairs, tmp_path):
    def fused(*_):
        return tf.config.optimizer.get_experimental_options().get("remapping", True)

    seen = []
    train(pairs, tmp_path, tiny(max_steps=1), progress=lambda *report: seen.append(fused()))
    assert (seen, fused()) == ([False], True)


@pytest.mark.long
def test_it_learns_facades(tmp_path):
    from pix2pix.facades.generator import make_pairs

    tf.config.run_functions_eagerly(False)

    make_pairs(tmp_path / "pairs", 64, 64, 0)
    parameters = tiny(size=64, scale_size=64, ngf=16, ndf=16, discriminator_layers=3, batch_size=4)
    parameters = dataclasses.replace(parameters, learning_rate=1e-3, max_steps=600)
    outcome = train(tmp_path / "pairs", tmp_path / "work", parameters)
    tf.config.run_functions_eagerly(True)
    assert outcome.held_out_pairs >= 8
    assert outcome.metrics["l1"] < 0.09
    assert outcome.metrics["ssim"] > 0.70
