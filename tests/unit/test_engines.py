"""A model runs in ONNX Runtime where it can, byte for byte the same whatever is beside a picture, and in TensorFlow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pixel_bound import assert_nearly_equal
from tiny_model import tiny, write_checkpoint, write_pairs

from components.generate.stage import STAGE
from pix2pix.errors import HyperparameterError, InputError
from pix2pix.hyperparameters import ExportParameters, GenerateParameters
from pix2pix.inference import engines
from pix2pix.inference.engines import ONNX_RUNTIME, TENSORFLOW, engine_of, reads
from pix2pix.inference.export import export
from pix2pix.inference.generate import generate
from pix2pix.inference.saved_model import ONNX
from pix2pix.inference.translator import Translator

NOISE = np.random.default_rng(4).integers(0, 256, (8, 128, 128, 3)).astype(np.uint8)
"""Eight pictures of the model's size."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Deep enough that the number of threads of a session decides how sums are rounded, on a CPU with AVX-512."""
    folder = tmp_path_factory.mktemp("model")
    return export(
        write_checkpoint(folder / "checkpoint", tiny(size=128, scale_size=128, ngf=16)), folder / "model"
    ).folder


@pytest.fixture(scope="module")
def without_onnx(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    parameters = ExportParameters(dropout=True)
    return export(write_checkpoint(folder / "checkpoint", tiny()), folder / "model", parameters).folder


def test_a_model_runs_in_onnx_runtime_where_it_has_an_onnx_file_and_else_in_tensorflow(model, without_onnx):
    assert Translator(model).engine.name == ONNX_RUNTIME
    assert Translator(model, "tensorflow").engine.name == TENSORFLOW
    assert Translator(without_onnx).engine.name == TENSORFLOW
    assert (engine_of(model, "auto"), engine_of(without_onnx, "auto")) == (ONNX_RUNTIME, TENSORFLOW)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 31), (2, 70)])
def test_the_engines_differ_by_one_level_at_most_at_any_size(model, height, width):
    pictures = np.random.default_rng(3).integers(0, 256, (3, height, width, 3)).astype(np.uint8)
    found = Translator(model)(pictures)
    assert found.std() > 5
    assert_nearly_equal(found, Translator(model, "tensorflow")(pictures))


@pytest.mark.parametrize("cores", [1, 5, 8])
def test_with_onnx_runtime_batch_order_and_cores_change_no_byte(model, monkeypatch, cores):
    alone = Translator(model)
    expected = np.concatenate([alone(picture[np.newaxis]) for picture in NOISE])
    monkeypatch.setattr(engines, "cores", lambda: cores)
    translate = Translator(model)
    np.testing.assert_array_equal(translate(NOISE), expected)
    np.testing.assert_array_equal(translate(NOISE[::-1]), expected[::-1])
    np.testing.assert_array_equal(translate(NOISE[2:5]), expected[2:5])


def test_a_large_picture_is_the_same_bytes_on_any_number_of_cores(model, monkeypatch):
    expected = Translator(model)(NOISE)
    monkeypatch.setattr(engines, "LARGE_PIXELS", 1)
    every_core = os.sched_getaffinity(0)
    made = []
    for cores in (1, 8):
        monkeypatch.setattr(engines, "cores", lambda cores=cores: cores)
        os.sched_setaffinity(0, sorted(every_core)[:cores])  # the threads of a session inherit it
        try:
            made.append(Translator(model)(NOISE))
        finally:
            os.sched_setaffinity(0, every_core)
    np.testing.assert_array_equal(*made)
    assert_nearly_equal(made[0], expected)


def test_a_large_picture_is_translated_after_the_folder_of_the_model_was_removed(model, tmp_path, monkeypatch):
    copy = shutil.copytree(model, tmp_path / "1")
    translate = Translator(copy)
    shutil.rmtree(copy)
    monkeypatch.setattr(engines, "LARGE_PIXELS", 1)
    assert_nearly_equal(translate(NOISE[:2]), Translator(model)(NOISE[:2]))


def test_a_batch_is_normalized_as_one_where_the_model_was_trained_so(tmp_path):
    exported = export(write_checkpoint(tmp_path / "c", tiny(norm="batch")), tmp_path / "m").folder
    pictures = NOISE[:3, :32, :32]
    found = Translator(exported)(pictures)
    assert_nearly_equal(found, Translator(exported, "tensorflow")(pictures))
    assert np.abs(found[:1].astype(int) - Translator(exported)(pictures[:1])).max() > 1


def test_generating_with_onnx_runtime_imports_no_tensorflow(model, tmp_path):
    write_pairs(tmp_path / "in", 2, halves=1)
    code = (
        "import sys; from pathlib import Path; from pix2pix.inference.generate import generate;"
        "generate(*map(Path, sys.argv[1:])); sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *map(str, (model, tmp_path / "in", tmp_path / "out"))], check=True)
    assert len(list((tmp_path / "out").glob("*.png"))) == 2


def test_a_picture_names_its_engine_and_is_made_again_by_another_one_or_another_version(model, tmp_path, monkeypatch):
    source, target = write_pairs(tmp_path / "in", 2, halves=1), tmp_path / "out"
    generate(model, source, target)
    with Image.open(target / "000.png") as picture:
        assert picture.text["pix2pix:engine"] == f"onnxruntime {version('onnxruntime')}"
    assert len(generate(model, source, target, GenerateParameters(engine="onnxruntime")).kept) == 2
    assert len(generate(model, source, target, GenerateParameters(engine="tensorflow")).written) == 2
    with Image.open(target / "000.png") as picture:
        assert picture.text["pix2pix:engine"] == f"tensorflow {version('tensorflow')}"
    generate(model, source, target)
    monkeypatch.setattr(engines, "version", lambda name: "99.0")
    assert len(generate(model, source, target).written) == 2


def test_the_fingerprint_of_generated_pictures_names_both_engines_and_their_versions():
    versions = STAGE.versions()
    assert {name: versions[name] for name in (ONNX_RUNTIME, TENSORFLOW)} == {
        name: version(name) for name in (ONNX_RUNTIME, TENSORFLOW)
    }


def test_a_model_without_an_onnx_file_is_refused_by_onnx_runtime_in_one_line(without_onnx, tmp_path):
    source = write_pairs(tmp_path / "in", 1, halves=1)
    message = r'^engine = "onnxruntime" cannot run the model .*, which has no .*model\.onnx; set engine = "auto" or'
    with pytest.raises(HyperparameterError, match=message):
        generate(without_onnx, source, tmp_path / "out", GenerateParameters(engine="onnxruntime"))


@pytest.mark.parametrize(("engine", "other"), [("onnxruntime", "tensorflow"), ("tensorflow", "onnxruntime")])
def test_an_engine_that_is_not_installed_is_an_error_in_one_line(model, monkeypatch, engine, other):
    monkeypatch.setitem(sys.modules, engine, None)
    with pytest.raises(HyperparameterError) as caught:
        Translator(model, engine)
    message = str(caught.value)
    assert "\n" not in message
    assert f"needs the package {engine}, which cannot be imported" in message
    assert message.endswith(f'install it, or set engine = "{other}"')


def test_an_onnx_file_that_the_engine_cannot_read_is_a_damaged_model(model, tmp_path, monkeypatch):
    damaged = shutil.copytree(model, tmp_path / "1")
    (damaged / ONNX).write_bytes(b"no model")
    monkeypatch.setattr("pix2pix.inference.translator.require_unchanged", lambda *_: None)
    with pytest.raises(InputError, match=r"the model .*/1 is damaged \(\w+\); export it again"):
        Translator(Path(damaged))


@pytest.mark.parametrize("engine", [ONNX_RUNTIME, TENSORFLOW])
def test_an_engine_runs_a_model_without_the_files_that_it_does_not_read_and_no_other(model, tmp_path, engine):
    paths = {path.relative_to(model).as_posix(): path for path in model.rglob("*") if path.is_file()}
    for path in paths:
        if reads(engine, path):
            (tmp_path / "1" / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(paths[path], tmp_path / "1" / path)
    found = Translator(tmp_path, engine, complete=False)(NOISE[:1])
    np.testing.assert_array_equal(found, Translator(model, engine)(NOISE[:1]))
    size = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    assert size < 0.7 * sum(path.stat().st_size for path in paths.values())
    with pytest.raises(InputError, match="is missing"):
        Translator(tmp_path, engine)
    needed = tmp_path / "1" / (ONNX if engine == ONNX_RUNTIME else "variables/variables.index")
    needed.write_bytes(b"changed")
    with pytest.raises(InputError, match=f"{needed.name} differs from its manifest"):
        Translator(tmp_path, engine, complete=False)
