"""An exported model is self-contained, computes what the network computes, and never replaces other files."""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pixel_bound import assert_nearly_equal
from tiny_model import tiny, write_checkpoint

from pix2pix.errors import HyperparameterError, InputError
from pix2pix.hyperparameters import ExportParameters
from pix2pix.images.codec import png_bytes
from pix2pix.inference.export import export
from pix2pix.inference.onnx_model import largest_difference
from pix2pix.inference.saved_model import ONNX, OPTIONS, TFLITE, find_version
from pix2pix.model.networks import Generator, assign
from pix2pix.model.translation import translate
from pix2pix.training import checkpoints

PICTURES = np.random.default_rng(1).integers(0, 255, (3, 32, 32, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("work") / "checkpoint", tiny())


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    outcome = export(checkpoint, tmp_path_factory.mktemp("model"))
    return outcome, tf.saved_model.load(str(outcome.folder)).signatures


def call(signature, value):
    (output,) = signature(tf.constant(value)).values()
    return output.numpy()


def test_the_signature_for_pixels_computes_what_the_network_computes(exported, checkpoint):
    network = Generator(tiny(), 3)
    assign(network, checkpoints.read(checkpoint, "generator").arrays["generator"])
    expected = translate(network, tiny(), tf.constant(PICTURES)).numpy()
    assert_nearly_equal(call(exported[1]["image"], PICTURES), expected)
    assert expected.std() > 5


def test_eight_at_once_are_eight_one_by_one(exported):
    batch = np.random.default_rng(2).integers(0, 255, (8, 32, 32, 3)).astype(np.uint8)
    alone = np.concatenate([call(exported[1]["image"], batch[n : n + 1]) for n in range(8)])
    assert_nearly_equal(call(exported[1]["image"], batch), alone)


@pytest.mark.parametrize(("height", "width"), [(32, 64), (33, 31), (2, 70)])
def test_any_size_is_padded_and_cropped_back(exported, height, width):
    picture = np.random.default_rng(3).integers(0, 255, (1, height, width, 3)).astype(np.uint8)
    found = call(exported[1]["image"], picture)
    assert found.shape == picture.shape
    padded = np.pad(picture, [(0, 0), (0, -height % 32), (0, -width % 32), (0, 0)], mode="edge")
    assert_nearly_equal(found, call(exported[1]["image"], padded)[:, :height, :width])


def test_encoded_pictures_of_any_size_and_kind_give_pictures_of_the_training_size(exported):
    expected = call(exported[1]["image"], PICTURES)
    jpeg = io.BytesIO()
    Image.new("RGB", (50, 20)).save(jpeg, "JPEG")
    found = call(exported[1]["serving_default"], [*(png_bytes(p) for p in PICTURES), jpeg.getvalue()])
    for picture, data in zip(expected, found, strict=False):
        assert_nearly_equal(np.asarray(Image.open(io.BytesIO(data))), picture)
    with Image.open(io.BytesIO(found[3])) as last:
        assert (last.format, last.size) == ("PNG", (32, 32))
    text = call(exported[1]["base64"], [base64.urlsafe_b64encode(png_bytes(PICTURES[0])).rstrip(b"=")])
    decoded = base64.urlsafe_b64decode(text[0] + b"=" * (-len(text[0]) % 4))
    assert_nearly_equal(np.asarray(Image.open(io.BytesIO(decoded))), expected[0])


def test_the_signatures_have_the_names_that_clients_rely_on(exported):
    names = {
        name: ([*signature.structured_input_signature[1]], [*signature.structured_outputs])
        for name, signature in exported[1].items()
    }
    assert names == {
        "serving_default": (["image_bytes"], ["image_bytes"]),
        "image": (["image"], ["image"]),
        "base64": (["image"], ["image"]),
    }


def test_the_model_describes_itself_and_its_checkpoint_but_not_the_machine(exported, checkpoint):
    import hashlib

    outcome, _ = exported
    options = json.loads((outcome.folder / OPTIONS).read_text(encoding="utf-8"))
    digest = hashlib.sha256((checkpoint / "generator.npz").read_bytes()).hexdigest()
    assert options["checkpoint_sha256"] == outcome.digest == digest
    assert (options["step"], options["metrics"], options["train"]["ngf"]) == (0, {"l1": 0.5}, 4)
    assert outcome.folder.name == "1"
    assert outcome.size == sum(path.stat().st_size for path in outcome.folder.rglob("*") if path.is_file())
    for path in outcome.folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for folder in (outcome.folder.parent, checkpoint.parent, sys.prefix):
            assert str(folder).encode() not in content


def test_the_weights_are_the_same_bytes_each_time(exported, checkpoint, tmp_path):
    again = export(checkpoint, tmp_path)
    for name in ("variables/variables.data-00000-of-00001", "variables/variables.index", str(OPTIONS)):
        assert (again.folder / name).read_bytes() == (exported[0].folder / name).read_bytes()


@pytest.mark.long
def test_a_fresh_process_writes_the_same_graph(checkpoint, tmp_path):
    code = (
        "import sys; from pathlib import Path; from pix2pix.inference.export import export; "
        "export(*map(Path, sys.argv[1:]))"
    )
    for name in ("a", "b"):
        subprocess.run([sys.executable, "-c", code, str(checkpoint), str(tmp_path / name)], check=True)
    first, second = ((tmp_path / name / "1" / "saved_model.pb").read_bytes() for name in ("a", "b"))
    assert first == second


def test_each_option_of_the_export_has_its_effect(exported, checkpoint, tmp_path):
    usual = call(exported[1]["image"], PICTURES)
    half = export(checkpoint, tmp_path / "half", ExportParameters(weights="float16", filetype="jpeg", version=7))
    assert half.folder.name == "7"
    variables = [sum(p.stat().st_size for p in (m.folder / "variables").iterdir()) for m in (half, exported[0])]
    assert variables[0] < 0.6 * variables[1]
    assert (half.folder / ONNX).stat().st_size < 0.6 * (exported[0].folder / ONNX).stat().st_size
    signatures = tf.saved_model.load(str(half.folder)).signatures
    near = call(signatures["image"], PICTURES)
    assert np.abs(near.astype(int) - usual).max() <= 2
    assert largest_difference((half.folder / ONNX).read_bytes(), PICTURES, near) <= 1
    with Image.open(io.BytesIO(call(signatures["serving_default"], [png_bytes(PICTURES[0])])[0])) as picture:
        assert picture.format == "JPEG"


def test_dropout_at_test_time_is_one_mask_for_every_picture(exported, checkpoint, tmp_path):
    outcome = export(checkpoint, tmp_path, ExportParameters(dropout=True))
    image = tf.saved_model.load(str(outcome.folder)).signatures["image"]
    found = call(image, PICTURES)
    assert not np.array_equal(found, call(exported[1]["image"], PICTURES))
    np.testing.assert_array_equal(found, call(image, PICTURES))
    assert_nearly_equal(found[2:], call(image, PICTURES[2:]))


@pytest.mark.parametrize(
    ("changes", "channels"), [({"lab_colorization": True}, 3), ({"in_channels": 1, "out_channels": 1}, 1)]
)
def test_other_channels_are_exported_too(tmp_path, changes, channels):
    outcome = export(write_checkpoint(tmp_path / "c", tiny(**changes)), tmp_path / "m")
    found = call(tf.saved_model.load(str(outcome.folder)).signatures["image"], PICTURES)
    assert found.shape == (3, 32, 32, channels)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::UserWarning")  # TensorFlow points to LiteRT
@pytest.mark.parametrize("kind", ["float32", "float16", "int8"])
def test_a_lite_model_computes_nearly_the_same(exported, checkpoint, tmp_path, kind):
    outcome = export(checkpoint, tmp_path, ExportParameters(tflite=kind))
    interpreter = tf.lite.Interpreter(model_path=str(outcome.folder / TFLITE))
    runner = interpreter.get_signature_runner()
    found = next(iter(runner(image=PICTURES[:1]).values()))
    usual = call(exported[1]["image"], PICTURES[:1]).astype(int)
    assert np.abs(found - usual).mean() < (4 if kind == "int8" else 1)


def test_a_missing_or_truncated_checkpoint_or_one_of_another_network_is_refused(checkpoint, tmp_path):
    with pytest.raises(InputError, match=r"is not a checkpoint: checkpoint\.json is missing"):
        export(tmp_path, tmp_path / "m")
    cut = write_checkpoint(tmp_path / "cut", tiny())
    data = (cut / "generator.npz").read_bytes()
    for size in (0, 10, len(data) // 2, len(data) - 1):
        (cut / "generator.npz").write_bytes(data[:size])
        with pytest.raises(InputError, match="damaged or truncated"):
            export(cut, tmp_path / "m")
    (cut / "checkpoint.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is not valid JSON"):
        export(cut, tmp_path / "m")
    other = write_checkpoint(tmp_path / "other", tiny())
    (other / "generator.npz").write_bytes(write_checkpoint_bytes(tmp_path / "wide", ngf=8))
    with pytest.raises(InputError, match="does not fit its own hyperparameters: d1/kernel is"):
        export(other, tmp_path / "m")
    assert not (tmp_path / "m").exists()


def write_checkpoint_bytes(folder, **changes):
    return (write_checkpoint(folder, tiny(**changes)) / "generator.npz").read_bytes()


def test_a_folder_without_a_model_or_with_one_of_another_program_is_refused(exported, tmp_path):
    with pytest.raises(InputError, match="holds no model"):
        find_version(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(InputError, match="was not made by `pix2pix export`"):
        find_version(tmp_path)


def test_the_newest_version_is_taken(tmp_path):
    for version in ("9", "10", "x"):
        folder = tmp_path / version
        (folder / OPTIONS.parent).mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"")
        (folder / OPTIONS).write_bytes(b"{}")
    assert find_version(tmp_path) == tmp_path / "10"
    assert find_version(tmp_path / "9") == tmp_path / "9"


@pytest.mark.parametrize("content", ["folder", "file", "link"])
def test_a_folder_that_no_export_wrote_is_never_replaced(checkpoint, tmp_path, content):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.txt").write_text("years of work", encoding="utf-8")
    (tmp_path / "m").mkdir()
    if content == "folder":
        (tmp_path / "precious").rename(tmp_path / "m" / "1")
    elif content == "file":
        (tmp_path / "m" / "1").write_text("years of work", encoding="utf-8")
    else:
        (tmp_path / "m" / "1").symlink_to(tmp_path / "precious")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"m/1 exists and was not made by .* another version \(-p version=N"):
        export(checkpoint, tmp_path / "m")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_model_of_an_export_is_replaced(checkpoint, tmp_path):
    (tmp_path / "1" / OPTIONS).parent.mkdir(parents=True)
    (tmp_path / "1" / OPTIONS).write_text("{}", encoding="utf-8")
    assert find_version(export(checkpoint, tmp_path).folder) == tmp_path / "1"
    assert json.loads((tmp_path / "1" / OPTIONS).read_text(encoding="utf-8"))["step"] == 0


@pytest.mark.parametrize("inside", [".", "deep/down"])
def test_a_model_never_replaces_its_own_checkpoint(tmp_path, inside):
    own = write_checkpoint(tmp_path / "1" / inside, tiny())
    (tmp_path / "1" / OPTIONS).parent.mkdir()
    (tmp_path / "1" / OPTIONS).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match="would replace the checkpoint"):
        export(own, tmp_path)
    assert checkpoints.read(own, "generator").step == 0


def test_an_unfinished_training_is_reported_with_its_last_state(tmp_path):
    for step in (3, 12):
        write_checkpoint(tmp_path / "work" / checkpoints.STATES / str(step), tiny())
    last = tmp_path / "work" / "state" / "checkpoints" / "12"
    with pytest.raises(
        InputError, match=rf"has not finished; run it again until it has, or name its last state, {last}"
    ):
        export(tmp_path / "work", tmp_path / "m")
    assert export(last, tmp_path / "m").step == 0


def test_a_bit_flipped_anywhere_in_the_weights_is_reported_as_damage_or_changes_nothing(tmp_path):
    whole = write_checkpoint(tmp_path / "c", tiny(ngf=1, depth=3))
    file = whole / "generator.npz"
    data, weights = file.read_bytes(), checkpoints.read(whole, "generator").arrays["generator"]
    draw = np.random.default_rng(0)
    directory = data.index(b"PK\x01\x02")
    places = {*range(120), *range(directory, directory + 120), *range(len(data) - 22, len(data))}
    for place in sorted({*places, *draw.integers(0, len(data), 50).tolist()}):
        for bit in (1, 8, 128):
            file.write_bytes(data[:place] + bytes([data[place] ^ bit]) + data[place + 1 :])
            try:
                found = checkpoints.read(whole, "generator").arrays["generator"]
            except InputError as error:
                assert "is damaged or truncated" in str(error)
            else:
                assert all(np.array_equal(values, weights[name]) for name, values in found.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"upsampling": "resize"},
        {"in_channels": 1, "out_channels": 1, "norm": "none"},
        {"norm": "batch", "lab_colorization": True},
        {"separable_conv": True},
    ],
    ids=str,
)
def test_the_onnx_model_is_within_a_level_of_the_savedmodel_on_a_hundred_pictures(tmp_path, changes):
    checkpoint = write_checkpoint(tmp_path / "checkpoint", tiny(**changes))
    folder = export(checkpoint, tmp_path / "model", ExportParameters(onnx=True)).folder
    pictures = np.random.default_rng(9).integers(0, 256, (100, 32, 64, 3)).astype(np.uint8)
    model = tf.saved_model.load(str(folder)).signatures["image"]
    # One by one, since the statistics of a batch are those of its pictures.
    expected = np.concatenate([call(model, picture[np.newaxis]) for picture in pictures])
    assert expected.std() > 3
    assert largest_difference((folder / ONNX).read_bytes(), pictures, expected) <= 1


def test_an_onnx_model_that_computes_something_else_is_not_exported(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("pix2pix.inference.onnx_model.SLOPE", 0.3)
    with pytest.raises(HyperparameterError, match=r"differ from the SavedModel's by \d+ of 255 levels"):
        export(checkpoint, tmp_path, ExportParameters(onnx=True))
    assert not list(tmp_path.iterdir())
    left_out = export(checkpoint, tmp_path)
    assert not (left_out.folder / ONNX).exists()
    assert re.search(r"differ from the SavedModel's by \d+ .* is left out", left_out.warnings[0])


def test_weights_that_do_not_fit_into_an_onnx_file_leave_it_out(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("pix2pix.inference.onnx_model.MOST_BYTES", 1000)
    (warning,) = export(checkpoint, tmp_path).warnings
    assert re.search(r"the weights take [\d,]+ bytes, more than the 1,000 that an ONNX file holds", warning)
    with pytest.raises(HyperparameterError, match=r"^onnx = true: the weights take"):
        export(checkpoint, tmp_path, ExportParameters(onnx=True, version=2))


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_a_package_the_onnx_model_is_left_out_or_an_error_in_one_line(
    checkpoint, tmp_path, monkeypatch, package
):
    monkeypatch.delitem(sys.modules, "pix2pix.inference.onnx_model", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HyperparameterError, match=rf"^onnx = true: the packages .*import of {package} .*set onnx = f"):
        export(checkpoint, tmp_path, ExportParameters(onnx=True))
    (warning,) = export(checkpoint, tmp_path).warnings
    assert re.search(rf"cannot be imported \(import of {package} .*\), so the ONNX model is left out", warning)


def test_an_onnx_model_is_written_unless_it_is_switched_off(exported, checkpoint, tmp_path):
    assert (exported[0].folder / ONNX).is_file()
    assert not (export(checkpoint, tmp_path, ExportParameters(onnx=False)).folder / ONNX).exists()
