"""A training that begins with the weights of an earlier one: exact, resumable, and refused where they do not fit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from command_line import pix2pix as command
from tiny_model import TINY, tiny, write_pairs

import pix2pix
from pix2pix.errors import InputError
from pix2pix.hyperparameters.warm_start import SHAPE, changed_objective, misfit
from pix2pix.training import checkpoints
from pix2pix.training.first_weights import EarlierModel
from pix2pix.training.train import train

PARAMETERS = tiny(max_steps=4, held_out=0.3, evaluation_steps=2, scale_size=36, flip=True)
OTHER = {
    "shape": {"width": 64},
    "levels": {"depth": 4},
    "direction": {"direction": "BtoA"},
    "labels": {"labels": True},
    "lab_colorization": {"lab_colorization": True},
    "input_channels": {"in_channels": 1},
    "output_channels": {"out_channels": 1},
    "ngf": {"ngf": 8},
    "ndf": {"ndf": 8},
    "discriminator_layers": {"discriminator_layers": 1},
    "condition_discriminator": {"condition_discriminator": False},
    "norm": {"norm": "batch"},
    "upsampling": {"upsampling": "resize"},
    "separable_conv": {"separable_conv": True},
}


pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"), 8)


@pytest.fixture(scope="module")
def parent(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> EarlierModel:
    work = tmp_path_factory.mktemp("parent")
    train(pairs, work, dataclasses.replace(PARAMETERS, learning_rate=0.01))
    return EarlierModel(work, "the parent")


def arrays(work: Path) -> dict[str, np.ndarray]:
    found = checkpoints.read(work / "checkpoint", "generator", "discriminator").arrays
    return {f"{a}/{name}": np.asarray(values) for a, named in found.items() for name, values in named.items()}


def test_a_training_goes_on_from_the_weights_of_both_networks(
    pairs: Path, parent: EarlierModel, tmp_path: Path
) -> None:
    still = dataclasses.replace(PARAMETERS, max_steps=1, learning_rate=1e-8)
    trained = train(pairs, tmp_path, still, earlier=parent)
    assert trained.began_with == "the parent"
    before, after = arrays(parent.folder), arrays(tmp_path)
    assert before.keys() == after.keys() and any(name.startswith("discriminator/") for name in before)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, atol=1e-6)
    assert "Began with the weights of" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_stopped_and_started_again_it_equals_the_uninterrupted_training(
    pairs: Path, parent: EarlierModel, tmp_path: Path
) -> None:
    train(pairs, tmp_path / "whole", PARAMETERS, earlier=parent)
    for steps in (1, 2):
        calls = iter(range(steps))
        train(pairs, tmp_path / "parts", PARAMETERS, earlier=parent, stop=lambda left=calls: next(left, None) is None)
    ended = train(pairs, tmp_path / "parts", PARAMETERS, earlier=parent)
    assert ended.resumed_from > 0
    for name in ("generator.npz", "discriminator.npz"):
        results = [(tmp_path / work / "checkpoint" / name).read_bytes() for work in ("whole", "parts")]
        assert results[0] == results[1]
    with pytest.raises(InputError, match="began with other weights"):
        train(pairs, tmp_path / "parts", PARAMETERS)


@pytest.mark.parametrize("name", SHAPE)
def test_weights_of_another_shape_or_task_do_not_fit_and_both_values_are_named(name: str) -> None:
    other = tiny(**OTHER[name])
    assert " and not " in misfit(other, tiny()) and misfit(tiny(), tiny()) == ""


def test_how_long_and_how_fast_is_learnt_may_change_and_what_is_measured_may_not_grow() -> None:
    assert misfit(tiny(max_steps=9, learning_rate=1e-3, batch_size=4, seed=2, held_out=0.1), tiny()) == ""
    assert "held_out = 0.3 and not 0.2" in misfit(tiny(held_out=0.3), tiny())
    assert "no discriminator" in misfit(tiny(), tiny(gan_weight=0.0))
    assert misfit(tiny(gan_mode="hinge"), tiny()) == "" != changed_objective(tiny(gan_mode="hinge"), tiny())


def test_a_model_that_learnt_from_a_pair_that_is_held_out_now_is_not_begun_with(
    pairs: Path, parent: EarlierModel, tmp_path: Path
) -> None:
    cold = train(pairs, tmp_path / "cold", PARAMETERS)
    leaking = dataclasses.replace(parent, learnt_from=frozenset(cold.held_out[:1]))
    with pytest.raises(InputError, match=rf"the parent learnt from 1 of the {len(cold.held_out)} pairs"):
        train(pairs, tmp_path / "always", PARAMETERS, earlier=leaking)
    auto = train(pairs, tmp_path / "auto", PARAMETERS, earlier=dataclasses.replace(leaking, required=False))
    assert auto.began_with == "" and "began from its seed: the parent learnt from" in auto.notes[-1]
    for name, values in arrays(tmp_path / "cold").items():
        np.testing.assert_array_equal(arrays(tmp_path / "auto")[name], values)


def test_python_and_the_command_begin_with_a_folder_and_refuse_another_shape(
    pairs: Path, parent: EarlierModel, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small = {**TINY, "held_out": 0.3, "max_steps": 1, "scale_size": 36, "flip": True}
    trained = pix2pix.train(pairs, tmp_path / "python", warm_start_from=parent.folder, **small)
    words = [word for name, value in small.items() for word in ("-p", f"{name}={str(value).lower()}")]
    checkpoint = parent.folder / "checkpoint"
    ended = command(capfd, "train", pairs, tmp_path / "command", *words, "--init-from", checkpoint, "--json")
    assert ended.document["began_with"] == str(checkpoint)
    assert arrays(tmp_path / "command").keys() == arrays(trained.folder).keys()
    for name, values in arrays(trained.folder).items():
        np.testing.assert_array_equal(arrays(tmp_path / "command")[name], values)
    refused = command(capfd, "train", pairs, tmp_path / "x", *words, "-p", "ngf=8", "--init-from", checkpoint)
    assert refused.code == 2 and "ngf = 8 and not 4" in refused.err
    missing = command(capfd, "train", pairs, tmp_path / "x", *words, "--init-from", tmp_path / "missing")
    assert missing.code == 2 and "does not exist" in missing.err
