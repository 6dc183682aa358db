"""A model called with a picture returns the like, or raises an error that says what to pass; it never aborts."""

from __future__ import annotations

import io
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import tiny, write_checkpoint, write_pairs

import pix2pix
from pix2pix.inference.manifest import write_manifest
from pix2pix.inference.saved_model import OPTIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("model")
    pix2pix.export(write_checkpoint(root / "checkpoint", tiny()), root / "model")
    return root / "model"


@pytest.fixture(scope="module")
def model(folder: Path) -> pix2pix.Model:
    return pix2pix.load(folder)


@pytest.fixture(scope="module")
def grey_model(tmp_path_factory: pytest.TempPathFactory) -> pix2pix.Model:
    root = tmp_path_factory.mktemp("grey")
    return pix2pix.export(write_checkpoint(root / "checkpoint", tiny(out_channels=1)), root / "model")


def noise(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize(
    ("given", "returned", "grey"),
    [
        ((40, 24), (40, 24, 3), (40, 24)),
        ((40, 24, 3), (40, 24, 3), (40, 24)),
        ((2, 40, 24, 3), (2, 40, 24, 3), (2, 40, 24)),
        ((3, 3, 3), (3, 3, 3), (3, 3)),
        ((3, 3), (3, 3, 3), (3, 3)),
        ((1, 1, 1, 3), (1, 1, 1, 3), (1, 1, 1)),
    ],
)
def test_an_array_gives_an_array_of_the_same_axes_and_size(
    model: pix2pix.Model, grey_model: pix2pix.Model, given: Any, returned: Any, grey: Any
) -> None:
    assert model(noise(*given)).shape == returned
    assert model(noise(*given)).dtype == np.uint8
    assert grey_model(noise(*given)).shape == grey


def test_the_pictures_of_a_batch_are_translated_as_if_alone(model: pix2pix.Model) -> None:
    batch = noise(3, 32, 32, 3)
    apart = np.stack([model(picture) for picture in batch]).astype(int)
    assert np.abs(model(batch) - apart).max() <= 1
    assert np.abs(model(noise(32, 32)).astype(int) - model(np.stack([noise(32, 32)] * 3, -1))).max() <= 1


def test_a_path_and_a_pil_image_give_a_pil_image_of_the_size_of_the_training(
    model: pix2pix.Model, grey_model: pix2pix.Model, tmp_path: Path
) -> None:
    pixels = noise(50, 70, 3)
    file = tmp_path / "picture.png"
    Image.fromarray(pixels).save(file)
    results = [model(file), model(str(file)), model(Image.open(file)), model(Image.fromarray(pixels))]
    assert [(result.mode, result.size) for result in results] == [("RGB", (32, 32))] * 4
    assert len({result.tobytes() for result in results}) == 1
    assert (grey_model(file).mode, grey_model(file).size) == ("L", (32, 32))


def test_a_picture_is_prepared_as_generate_prepares_files(model: pix2pix.Model, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(noise(50, 70, 3)).save(tmp_path / "in" / "a.png")
    pix2pix.generate(model, tmp_path / "in", tmp_path / "out", batch_size=1)
    with Image.open(tmp_path / "out" / "a.png") as generated:
        assert np.abs(np.asarray(generated).astype(int) - np.asarray(model(tmp_path / "in" / "a.png"))).max() <= 1


def test_the_size_can_be_chosen(model: pix2pix.Model) -> None:
    assert model(noise(50, 70, 3), size=0).shape == (32, 32, 3)
    assert model(noise(50, 70, 3), size=64).shape == (64, 64, 3)
    assert model(Image.fromarray(noise(50, 70, 3)), size="own").size == (70, 50)
    for size in (33, -32, 8192, True, 1.5, "big", None.__class__):
        with pytest.raises(pix2pix.InputError, match="multiples of"):
            model(noise(32, 32, 3), size=size)  # type: ignore[arg-type]


def test_a_pil_image_is_turned_upright_and_composited_over_white(model: pix2pix.Model) -> None:
    pixels = noise(32, 32, 3)
    turned, exif = Image.fromarray(np.rot90(pixels)), Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    turned.save(buffer, "PNG", exif=exif)
    assert model(Image.open(buffer)).tobytes() == model(Image.fromarray(pixels)).tobytes()
    transparent = Image.new("RGBA", (32, 32), (9, 9, 9, 0))
    assert model(transparent).tobytes() == model(Image.new("RGB", (32, 32), "white")).tobytes()


BAD: list[tuple[Any, str]] = [
    (None, "type NoneType"),
    ([[1, 2], [3, 4]], "type list"),
    (b"\x89PNG", "type bytes"),
    (noise(4, 4, 4), r"shape \[4, 4, 4\]"),
    (noise(4, 4, 1), r"shape \[4, 4, 1\]"),
    (noise(1, 1, 4, 4, 3), r"shape \[1, 1, 4, 4, 3\]"),
    (noise(5), r"shape \[5\]"),
    (np.uint8(3), "type uint8"),
    (np.zeros((0, 4, 3), np.uint8), "no pixels"),
    (np.zeros((0, 4, 4, 3), np.uint8), "no pixels"),
    (np.zeros((4, 4, 3)), "dtype float64.*255"),
    (np.zeros((4, 4, 3), bool), "dtype bool"),
    (np.zeros((4, 4, 3), object), "dtype object"),
    (np.zeros((1, 1, 1, 3), np.uint8).repeat(4097, 1).repeat(4096, 2), "pixels"),
    ("no such file.png", "does not exist"),
    (".", "folder.*pix2pix.generate"),
    ("a\0b", "does not exist"),
    ("x" * 5000, "cannot be used"),
    (Image.new("F", (4, 4)), "mode F"),
    (Image.new("I", (4, 4), 70000), "mode I"),
    (Image.new("RGB", (0, 4)), "no pixels"),
]


@pytest.mark.parametrize(("picture", "problem"), BAD, ids=[problem for _, problem in BAD])
def test_anything_else_is_an_error_that_says_what_to_pass(model: pix2pix.Model, picture: Any, problem: str) -> None:
    with pytest.raises(pix2pix.InputError, match=problem) as caught:
        model(picture)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_picture_is_named(model: pix2pix.Model, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    with pytest.raises(pix2pix.PictureError, match=r"text\.png"):
        model(tmp_path / "text.png")
    truncated = Image.open(io.BytesIO(_png(noise(64, 64, 3))[:3000]))
    with pytest.raises(pix2pix.PictureError, match=r"TRUNCATED|DAMAGED"):
        model(truncated)


def _png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


DTYPES = [
    *["uint8"] * 10,
    "int8",
    "uint16",
    "int64",
    "float16",
    "float32",
    "complex64",
    "bool",
    "object",
    "U3",
    "M8[s]",
]
MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "La", "RGBa"]
ODD = [
    None,
    3,
    2.5,
    b"x",
    "x",
    "",
    "/",
    "/dev/null",
    {},
    [],
    [[0]],
    object(),
    print,
    "\ud800",
    "~",
    (1, 2, 3),
    range(3),
]


def random_array(draw: np.random.Generator) -> Any:
    sides = [0, 1, 2, 3, 4, 5, 17, 40] if draw.random() < 0.2 else [1, 2, 3, 17, 40]
    shape = tuple(int(n) for n in draw.choice(sides, draw.integers(0, 6)))
    if draw.random() < 0.7:
        shape = (*shape[:3], 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = draw.integers(0, 256, shape).astype(str(draw.choice(DTYPES)))  # type: ignore[call-overload]
    return [array, array[::-1] if array.ndim else array, array.T, np.ma.masked_array(array)][draw.integers(4)]


def random_image(draw: np.random.Generator) -> Image.Image:
    width, height = (int(n) for n in draw.choice([0, 1, 2, 7, 40, 300], 2))
    picture = Image.new(str(draw.choice(MODES)), (width, height))
    if draw.random() < 0.3:
        picture.info["icc_profile"] = draw.bytes(200)
    if draw.random() < 0.3:
        picture.info["exif"] = draw.bytes(40)
    if draw.random() < 0.2:
        picture.close()
    return picture


def test_500_random_inputs_give_a_picture_or_an_error_and_never_abort(model: pix2pix.Model) -> None:
    """In this process: a failed CHECK of TensorFlow would end the test run."""
    draw, pictures, errors = np.random.default_rng(7), 0, 0
    for _ in range(500):
        kind = draw.random()
        given = (
            random_array(draw) if kind < 0.6 else random_image(draw) if kind < 0.85 else ODD[draw.integers(len(ODD))]
        )
        size: Any = [None, None, None, None, 0, "own", 32, 31, -1, "x", 2.0][draw.integers(11)]
        try:
            result = model(given, size=size)  # type: ignore[call-overload]
        except pix2pix.InputError:
            errors += 1
        else:
            assert isinstance(result, np.ndarray) == isinstance(given, np.ndarray)
            pictures += 1
    assert pictures + errors == 500
    assert min(pictures, errors) > 50


def _as_version_2(text: str) -> str:
    return text.replace('"format": 1', '"format": 2')


def _with_an_unknown_hyperparameter(text: str) -> str:
    return text.replace('"train": {', '"train": {"attention": true,')


@pytest.mark.parametrize(
    ("change", "problem"), [(_as_version_2, "format 2"), (_with_an_unknown_hyperparameter, "attention")]
)
def test_a_model_of_another_version_is_refused_with_what_to_do(
    folder: Path, tmp_path: Path, change: Callable[[str], str], problem: str
) -> None:
    version = Path(shutil.copytree(folder / "1", tmp_path / "model" / "1"))
    (version / OPTIONS).write_text(change((version / OPTIONS).read_text(encoding="utf-8")), encoding="utf-8")
    write_manifest(version)
    with pytest.raises(pix2pix.InputError, match=f"{problem}.*version"):
        pix2pix.load(tmp_path / "model")


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(pix2pix.InputError, match=rf"{tmp_path.name}.*holds no model"):
        pix2pix.load(write_pairs(tmp_path / tmp_path.name, 1))


def test_a_model_describes_itself_in_a_notebook_and_escapes_what_it_shows(model: pix2pix.Model) -> None:
    assert "32 x 32 pixels" in model._repr_html_()
    assert "32 x 32 pixels" in repr(model)
    model.metrics = {"<script>": 1.0}
    assert "<script>" not in model._repr_html_()
