"""Pictures of another size or kind than a model's inputs are translated at its size, and reported with the remedy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import pix2pix
from numpy.typing import NDArray
from PIL import Image
from tiny_model import tiny, write_checkpoint, write_pairs

from pachyderm.client.connection import Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import MODEL
from pix2pix.datasets.operations import Operation, operate
from pix2pix.datasets.resize import resize_folder
from pix2pix.hyperparameters import GenerateParameters, ResizeParameters, TrainParameters
from pix2pix.inference.export import export
from pix2pix.inference.generate import generate
from pix2pix.inference.sample_check import sample_warnings
from pix2pix.inference.saved_model import OPTIONS
from pix2pix.inference.suitability import SCALED_LABELS, ModelInputs, SuitabilityCheck
from pix2pix.model.look import InputLook, look_of, measure_look, summarize
from pix2pix.training import checkpoints
from pix2pix.training.loading import load
from pix2pix.training.train import train

SIDE = 64


def photograph(seed: int, size: int = SIDE) -> NDArray[np.uint8]:
    """Smooth areas of several colours with grain."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(20, 230, (5, 5, 3)).astype(np.uint8)).resize((size, size), 3)
    grain = draw.normal(0, 4, (size, size, 3))
    return (np.asarray(coarse) + grain).clip(0, 255).astype(np.uint8)


def drawing(seed: int, size: int = SIDE) -> NDArray[np.uint8]:
    """Black lines on white."""
    draw = np.random.default_rng(seed)
    lines = np.full((size, size, 3), 255, np.uint8)
    for place in draw.integers(4, size - 4, 4):
        lines[place, 4:-4] = lines[4:-4, place] = 0
    return lines


def gray(seed: int) -> NDArray[np.uint8]:
    luma = np.asarray(Image.fromarray(photograph(seed)).convert("L"))
    return np.repeat(luma[..., None], 3, axis=-1)


KINDS = {"photograph": photograph, "drawing": drawing, "gray": gray}


def look(kind: str) -> InputLook:
    return summarize([measure_look(KINDS[kind](seed)) for seed in range(20)])


def warnings(trained_on: str, kind: str, **changes: Any) -> tuple[str, ...]:
    check = SuitabilityCheck(ModelInputs(TrainParameters(size=SIDE, **changes), look(trained_on)))
    for seed in range(100, 105):
        check.add(f"{seed}.png", (SIDE, SIDE), KINDS[kind](seed))
    return check.warnings()


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_like_those_of_the_training_are_not_reported(kind: str) -> None:
    assert warnings(kind, kind) == ()


@pytest.mark.parametrize(
    ("trained_on", "kind", "remedies"),
    [
        ("drawing", "photograph", ['operation = "edges"', "pairs --operation edges --only-input"]),
        ("gray", "photograph", ['operation = "grayscale"', "pairs --operation grayscale --only-input"]),
        ("photograph", "drawing", ["pairs --only-input"]),
    ],
)
def test_pictures_of_another_kind_are_reported_with_the_remedy(trained_on: str, kind: str, remedies: list[str]) -> None:
    (warning,) = warnings(trained_on, kind)
    assert "5 of 5 pictures look unlike" in warning
    assert all(remedy in warning for remedy in remedies)


def test_colours_that_the_model_does_not_see_are_not_reported() -> None:
    seen = summarize([measure_look(gray(seed), 1) for seed in range(20)])
    check = SuitabilityCheck(ModelInputs(TrainParameters(size=SIDE, in_channels=1), seen))
    check.add("a.png", (SIDE, SIDE), photograph(100))
    assert check.warnings() == ()


def test_a_few_odd_pictures_among_many_are_not_reported() -> None:
    check = SuitabilityCheck(ModelInputs(TrainParameters(size=SIDE), look("drawing")))
    for seed in range(100, 104):
        check.add(f"{seed}.png", (SIDE, SIDE), drawing(seed))
    check.add("photograph.png", (SIDE, SIDE), photograph(1))
    assert check.warnings() == ()


@pytest.mark.parametrize(("width", "remedy"), [(0, "size = 64"), (128, "size = 64 and width = 128")])
def test_pictures_of_another_size_are_reported_with_the_size_to_set(width: int, remedy: str) -> None:
    inputs = ModelInputs(TrainParameters(size=64, width=width), None)
    check = SuitabilityCheck(inputs)
    check.add("b.png", inputs.trained.shape, drawing(1))
    check.add("a.png", (256, 256), drawing(2))
    (warning,) = check.warnings()
    assert "1 of 2 pictures" in warning
    assert "the first, a.png: 256x256" in warning
    assert f"Set [resize] {remedy}," in warning
    unscaled = SuitabilityCheck(inputs, scaled=False)
    unscaled.add("a.png", (256, 256), drawing(2))
    assert unscaled.warnings() == ()


def test_a_model_without_statistics_or_with_damaged_ones_is_only_compared_by_size() -> None:
    assert look_of(None) is None
    assert look_of({"mean": {"luma": 1.0}, "spread": {}, "pictures": 3}) is None
    assert look_of(look("drawing").document()) is not None


def test_a_training_keeps_what_its_inputs_look_like_and_the_model_states_it(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    for seed in range(6):
        Image.fromarray(np.concatenate([drawing(seed, 32), photograph(seed, 32)], axis=1)).save(pairs / f"{seed}.png")
    work = tmp_path / "work"
    train(pairs, work, tiny(max_steps=1))
    stated = checkpoints.read(work / "checkpoint").inputs
    assert json.loads((export(work, tmp_path / "model").folder / OPTIONS).read_text())["inputs"] == stated
    seen = look_of(stated)
    assert seen == load(pairs, tiny(scale_size=40)).look
    assert seen.is_drawing
    assert not load(pairs, tiny(direction="BtoA")).look.is_drawing


@pytest.mark.parametrize("changes", [{}, {"width": 64}])
def test_by_default_pictures_are_translated_at_the_size_of_the_training(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    parameters = tiny(**changes)
    model = export(write_checkpoint(tmp_path / "c", parameters), tmp_path / "m").folder
    outcome = generate(model, write_pairs(tmp_path / "in", 1, size=96, halves=1), tmp_path / "out")
    with Image.open(tmp_path / "out" / "000.png") as picture:
        assert picture.size == parameters.shape[::-1]
    assert "are scaled to it" in outcome.warnings[0]


def test_label_maps_keep_their_labels_when_they_are_scaled(tmp_path: Path) -> None:
    model = export(write_checkpoint(tmp_path / "c", tiny(labels=True)), tmp_path / "m").folder
    inputs = ModelInputs.of(json.loads((model / OPTIONS).read_text()))
    files = {"a.png": write_pairs(tmp_path / "in", 1, halves=1) / "000.png"}
    scaled = sample_warnings(inputs, files, ResizeParameters(size=32), GenerateParameters())
    assert scaled == (SCALED_LABELS,)
    assert sample_warnings(inputs, files, ResizeParameters(size=32, labels=True), GenerateParameters()) == ()


@pytest.mark.parametrize("operation", ["edges", "grayscale"])
def test_resize_draws_what_pairs_draws(tmp_path: Path, operation: str) -> None:
    source = tmp_path / "in"
    source.mkdir()
    Image.fromarray(photograph(1, 200)).save(source / "a.png")
    Image.fromarray(photograph(2, 200)[:120]).save(source / "b.png")
    for fit in ("crop", "pad"):
        resize_folder(source, tmp_path / f"r-{fit}", ResizeParameters(size=64, fit=fit, operation=operation))
        operate(Operation(operation, 64, fit, only_input=True), source, tmp_path / f"p-{fit}")
        for name in ("a.png", "b.png"):
            assert (tmp_path / f"r-{fit}" / name).read_bytes() == (tmp_path / f"p-{fit}" / name).read_bytes()


def test_resize_makes_pictures_of_the_width_that_it_is_given(tmp_path: Path) -> None:
    resize_folder(write_pairs(tmp_path / "in", 1, halves=1), tmp_path / "out", ResizeParameters(size=32, width=64))
    with Image.open(tmp_path / "out" / "000.png") as picture:
        assert picture.size == (64, 32)


def test_put_warns_at_once_and_not_once_the_pictures_are_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    store, pictures, options = tmp_path / "store", tmp_path / "pictures", tmp_path / "pix2pix.json"
    assert pix2pix(capsys, "--store", store, "setup").code == 0
    model = {"train": {"size": SIDE}, "inputs": look("drawing").document()}
    options.write_text(json.dumps(model))
    with connect(Target(store=store)) as client:
        put(client, MODEL, {"/1/assets.extra/pix2pix.json": options})
    pictures.mkdir()
    Image.fromarray(photograph(1, 300)).save(pictures / "cat.jpg")
    first = pix2pix(capsys, "--store", store, "put", "input_images", pictures)
    assert first.code == 0
    assert "warning: 1 of 1 pictures are not 64x64" in first.err
    assert 'set [resize] operation = "edges"' in first.err
    (pictures / "pix2pix.toml").write_text('[resize]\nsize = 64\noperation = "edges"\n')
    second = pix2pix(capsys, "--store", store, "put", "input_images", pictures, "--json")
    assert second.document["warnings"] == []
    assert second.document["files_put"] == 1
