"""Equal pictures are equal PNG files, written completely or not at all."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pix2pix.images.codec import decode, decode_bytes, encode_png, png_bytes


def checkered() -> np.ndarray:
    y, x = np.mgrid[:20, :30]
    return np.stack([x * 8, y * 12, (x + y) % 2 * 255], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_is_encoded_decodes_to_the_same_pixels(channels: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (9, 13, channels), dtype=np.uint8)
    assert np.array_equal(decode_bytes(png_bytes(pixels), channels), pixels)


def test_a_plane_is_one_channel() -> None:
    plane = checkered()[..., 0]
    assert png_bytes(plane) == png_bytes(plane[..., np.newaxis])


def test_the_bytes_depend_on_the_pixels_alone(tmp_path: Path) -> None:
    pixels = checkered()
    encode_png(pixels, tmp_path / "a.png")
    encode_png(np.asfortranarray(pixels)[::1], tmp_path / "deep" / "er" / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "deep/er/b.png").read_bytes() == png_bytes(pixels)


def test_a_file_holds_nothing_but_the_picture() -> None:
    data = png_bytes(checkered())
    names, position = [], 8
    while position < len(data):
        names.append(data[position + 4 : position + 8])
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"}


def test_text_is_kept_and_changes_no_pixel(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    encode_png(checkered(), path, {"lineage": "model 1 · é", "second": "2"})
    with Image.open(path) as picture:
        picture.load()
        assert picture.text == {"lineage": "model 1 · é", "second": "2"}
    assert np.array_equal(decode(path), checkered())


def test_the_bytes_are_those_of_this_release_of_the_locked_libraries() -> None:
    """Reuse of earlier results rests on equal bytes; if this fails after an upgrade, add it to the changelog."""
    digest = hashlib.sha256(png_bytes(checkered())).hexdigest()
    assert digest == "7d4602e36d4e94b310aa8edc576e37dd71fc88612d0e0d521ab0fa610b43e73f"


def test_a_write_that_fails_leaves_nothing_and_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"a\.png cannot be written") as failure:
        encode_png(checkered(), tmp_path / "a.png")
    assert failure.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []
