"""Resizing: any picture in, squares out, equal bytes on any number of threads."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pix2pix.datasets.resize import resize_folder
from pix2pix.errors import InputError
from pix2pix.hyperparameters import ResizeParameters
from pix2pix.images.codec import decode, load
from pix2pix.images.fitting import fit
from pix2pix.images.rejections import NAME_COLLISION


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture like a photograph: smooth, with some detail."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    for number, (width, height, name) in enumerate(
        [(300, 200, "a.jpg"), (120, 400, "deep/er/b.JPEG"), (64, 64, "c.PNG"), (33, 20, "d.webp"), (90, 91, "e.tiff")]
    ):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        scene(width, height, number).save(path)
    return source


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("how", ["crop", "pad"])
def test_every_number_of_threads_writes_the_same_bytes(folder: Path, tmp_path: Path, how: str) -> None:
    result = [
        resize_folder(folder, tmp_path / f"out{workers}", ResizeParameters(size=32, fit=how), workers=workers)
        for workers in (1, 2, 7)
    ]
    assert result[0] == result[1] == result[2]
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2") == contents(tmp_path / "out7")


def test_outputs_mirror_inputs(folder: Path, tmp_path: Path) -> None:
    result = resize_folder(folder, tmp_path / "out", ResizeParameters(size=32))
    assert result.written == {
        "a.jpg": "a.png",
        "c.PNG": "c.png",
        "d.webp": "d.png",
        "deep/er/b.JPEG": "deep/er/b.png",
        "e.tiff": "e.png",
    }
    assert result.rejected == ()
    assert set(contents(tmp_path / "out")) == set(result.written.values())
    assert all(decode(tmp_path / "out" / path).shape == (32, 32, 3) for path in result.written.values())


def test_only_some_are_done_and_names_still_come_from_all(folder: Path, tmp_path: Path) -> None:
    scene(50, 50).save(folder / "a.png")
    result = resize_folder(folder, tmp_path / "out", ResizeParameters(size=32), only={"a.png", "c.PNG"})
    assert result.written == {"c.PNG": "c.png"}
    assert [(each.path, each.code) for each in result.rejected] == [("a.png", NAME_COLLISION)]


def test_a_picture_that_is_not_there_cannot_be_asked_for(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no picture 'nope\.png'"):
        resize_folder(folder, tmp_path / "out", ResizeParameters(), only=["nope.png"])


def test_crop_keeps_the_middle_and_pad_keeps_everything() -> None:
    pixels = np.zeros((20, 60, 3), np.uint8)
    pixels[:, 20:40] = (0, 255, 0)
    pixels[:, :20] = (255, 0, 0)
    pixels[:, 40:] = (0, 0, 255)
    picture = Image.fromarray(pixels)
    cropped = np.asarray(fit(picture, (20, 20), "crop"))
    assert (cropped == (0, 255, 0)).all()
    padded = np.asarray(fit(picture, (60, 60), "pad"))
    assert np.array_equal(padded[20:40], pixels)
    assert not padded[:20].any()
    assert not padded[40:].any()


@pytest.mark.parametrize("how", ["crop", "pad"])
@pytest.mark.parametrize("size", [8, 31, 32, 100])
def test_every_shape_is_brought_to_the_size(how: str, size: int) -> None:
    for width, height in [(2, 2), (2, 40), (40, 2), (7, 5), (99, 101), (333, 17)]:
        assert fit(scene(width, height), (size, size), how).size == (size, size)


def test_labels_keep_their_colours() -> None:
    labels = np.random.default_rng(1).choice([0, 85, 170, 255], (57, 91, 3)).astype(np.uint8)
    resized = np.asarray(fit(Image.fromarray(labels), (32, 32), "crop", labels=True))
    known = {tuple(colour) for colour in labels.reshape(-1, 3)}
    assert {tuple(colour) for colour in resized.reshape(-1, 3)} <= known


def test_decoding_at_half_size_is_close_to_exact(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    scene(800, 600).save(tmp_path / "in" / "a.jpg", quality=95)
    fast, exact = (
        (resize_folder(tmp_path / "in", tmp_path / name, ResizeParameters(size=64, exact=exact)), tmp_path / name)[1]
        for name, exact in (("fast", False), ("exact", True))
    )
    difference = np.abs(decode(fast / "a.png").astype(int) - decode(exact / "a.png").astype(int))
    assert 0 < difference.mean() < 1


def test_a_turned_photograph_is_resized_upright(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    picture = scene(600, 300)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "in/turned.jpg", exif=exif, quality=95)
    picture.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "in/upright.jpg", quality=95)
    resize_folder(tmp_path / "in", tmp_path / "out", ResizeParameters(size=48))
    turned, upright = (decode(tmp_path / "out" / f"{name}.png").astype(int) for name in ("turned", "upright"))
    assert np.abs(turned - upright).mean() < 2


@pytest.mark.parametrize("turn", [1, 6])
@pytest.mark.parametrize("at_least", [(100, 300), (300, 100), (390, 10), (10, 10), (2000, 2000)])
def test_a_jpeg_is_never_shrunk_below_what_is_needed(turn: int, at_least: tuple[int, int]) -> None:
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    scene(800, 400).save(buffer, "JPEG", exif=exif)
    whole = load(buffer.getvalue()).size
    shrunk = load(buffer.getvalue(), at_least=at_least).size
    assert all(side >= min(least, full) for side, least, full in zip(shrunk, at_least, whole, strict=True))


@pytest.mark.parametrize("inside", [".", "out", "deep/out"])
def test_results_never_land_among_the_inputs(folder: Path, inside: str) -> None:
    before = contents(folder)
    with pytest.raises(InputError, match="is inside the input folder"):
        resize_folder(folder, folder / inside, ResizeParameters(size=32))
    assert contents(folder) == before


def test_inputs_inside_the_output_folder_are_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "in").mkdir(parents=True)
    scene(50, 50).save(source / "in" / "a.png")
    with pytest.raises(InputError, match="would be inside the input folder"):
        resize_folder(source, tmp_path, ResizeParameters(size=32))


def test_an_output_that_cannot_be_written_stops_the_work(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where a folder should be")
    with pytest.raises(OSError, match=r"out/a\.png cannot be written"):
        resize_folder(folder, tmp_path / "file/out", ResizeParameters(size=32), workers=3)


def test_no_more_than_two_heavy_pictures_are_decoded_at_once(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(11):
        scene(64, 64, number).save(folder / f"heavy{number}.png")
    monkeypatch.setattr("pix2pix.images.codec.HEAVY", 1)
    lock, meeting = threading.Lock(), threading.Barrier(2)
    now, most = 0, 0

    def convert(picture: Image.Image, mode: str) -> Image.Image:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(timeout=5)
        with lock:
            now -= 1
        return picture.convert(mode)

    monkeypatch.setattr("pix2pix.images.codec.to_mode", convert)
    resize_folder(folder, tmp_path / "out", ResizeParameters(size=32), workers=8)
    assert most == 2


def test_progress_counts_every_picture(folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    resize_folder(
        folder,
        tmp_path / "out",
        ResizeParameters(size=32),
        progress=lambda done, total, note: seen.append((done, total)),
    )
    assert seen == [(done, 5) for done in range(6)]


def test_resizing_imports_neither_tensorflow_nor_opencv() -> None:
    program = (
        "import sys, pix2pix.datasets.resize, pix2pix.datasets.operations; "
        "print({'tensorflow', 'cv2', 'keras'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
