"""Phone formats, animations and unusual files: the content decides, and a refusal names the remedy."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import raw_formats as raw
from exotic_pictures import ORIENTATIONS, oriented, smooth, swapped_profile
from PIL import Image
from tiff_writer import LZW, Page, write

from pix2pix.datasets.resize import resize_folder
from pix2pix.errors import PictureError
from pix2pix.hyperparameters import ResizeParameters
from pix2pix.images.codec import decode_bytes, load
from pix2pix.images.rejections import FORMAT_NOT_ALLOWED, MULTI_FRAME, TOO_LARGE, TOO_SMALL, TRUNCATED, UNSUPPORTED
from pix2pix.reading import DEFAULT, ReadOptions

FIRST = ReadOptions(frames="first")


@pytest.fixture(autouse=True, scope="module")
def encoder() -> None:
    pillow_heif.register_heif_opener()


def saved(pixels: Any, kind: str, *others: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    more = {"save_all": True, "append_images": [Image.fromarray(other) for other in others]} if others else {}
    Image.fromarray(pixels).save(buffer, kind, **more, **options)
    return buffer.getvalue()


def heic(pixels: Any, *others: Any, exif: Any = None, **options: Any) -> bytes:
    if exif is not None:
        # The encoder turns this entry of `info` into the transformation that HEIF readers must apply.
        picture = Image.fromarray(pixels)
        picture.info["exif"] = exif.tobytes()
        buffer = io.BytesIO()
        picture.save(buffer, "HEIF", quality=100, chroma=444, **options)
        return buffer.getvalue()
    return saved(pixels, "HEIF", *others, quality=100, chroma=444, **options)


def avif(pixels: Any, *others: Any, **options: Any) -> bytes:
    return saved(pixels, "AVIF", *others, quality=100, subsampling="4:4:4", **options)


def code_of(data: bytes, reading: ReadOptions = DEFAULT) -> str:
    try:
        load(data, reading=reading)
    except PictureError as error:
        assert error.reason
        return error.code
    return "read"


def difference(data: bytes, expected: Any, channels: int = 3) -> int:
    found = decode_bytes(data, channels)
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("encode", [heic, avif])
def test_telephone_pictures_are_read_upright(encode: Any, turn: int) -> None:
    assert difference(encode(smooth(), exif=oriented(turn)), ORIENTATIONS[turn](smooth())) <= 3


def test_the_exif_orientation_of_heic_is_a_note_only() -> None:
    """ISO/IEC 23008-12: the container's transformations apply, and EXIF only repeats them."""
    assert difference(saved(smooth(), "HEIF", quality=100, chroma=444, exif=oriented(6)), smooth()) <= 3


@pytest.mark.parametrize(("encode", "exif"), [(avif, False), (avif, True), (heic, True)])
def test_the_xmp_orientation_of_telephone_pictures_is_a_note_only(encode: Any, exif: bool) -> None:
    # Without EXIF, the encoder of HEIC makes a transformation of it.
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    options = {"exif": oriented(8)} if exif else {}
    expected = ORIENTATIONS[8](smooth()) if exif else smooth()
    assert difference(encode(smooth(), xmp=xmp, **options), expected) <= 3


@pytest.mark.parametrize("encode", [heic, avif])
def test_a_size_over_the_limits_is_refused_before_the_decoder_sees_it(encode: Any) -> None:
    data = bytearray(encode(smooth()))
    place = data.index(b"ispe") + 8
    data[place : place + 8] = struct.pack(">II", 17000, 17000)
    assert code_of(bytes(data)) == TOO_LARGE


@pytest.mark.parametrize("encode", [heic, avif])
def test_of_a_burst_the_first_is_read(encode: Any) -> None:
    assert difference(encode(smooth(), smooth()[::-1], smooth()[:, ::-1]), smooth()) <= 3


def test_of_a_collection_the_primary_picture_is_read() -> None:
    assert difference(heic(smooth(), smooth()[::-1], primary_index=1), smooth()[::-1]) <= 3


@pytest.mark.parametrize("encode", [heic, avif])
def test_alpha_and_profiles_of_telephone_pictures_count(encode: Any) -> None:
    alpha = np.full((*smooth().shape[:2], 1), 128, np.uint8)
    alpha[:16] = 255
    expected = smooth().astype(float) * alpha / 255 + 255 - alpha
    assert difference(encode(np.dstack([smooth(), alpha])), expected) <= 3
    assert difference(encode(smooth(), icc_profile=swapped_profile()), smooth()[..., [1, 0, 2]]) <= 4


@pytest.mark.parametrize("encode", [heic, avif])
def test_a_telephone_picture_that_is_cut_is_truncated_wherever_it_ends(encode: Any) -> None:
    data = encode(smooth())
    assert {code_of(data[:end]) for end in range(200, len(data) - 1, 97)} == {TRUNCATED}


@pytest.mark.parametrize("encode", [heic, avif])
def test_telephone_pictures_keep_to_the_limits(encode: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pix2pix.images.limits.MAX_PIXELS", 1000)
    assert code_of(encode(smooth())) == TOO_LARGE


@pytest.mark.parametrize("brand", [b"mp42", b"isom", b"qt  "])
def test_a_film_is_no_picture(brand: bytes) -> None:
    assert code_of(struct.pack(">I", 20) + b"ftyp" + brand + bytes(4) + brand + bytes(100)) == FORMAT_NOT_ALLOWED


def frames() -> list[Any]:
    return [np.full((20, 30, 3), value, np.uint8) for value in (10, 120, 240)]


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("PNG", {}), ("WEBP", {"lossless": True})])
def test_an_animation_names_the_option_that_takes_its_first_frame(kind: str, options: Any) -> None:
    data = saved(*frames()[:1], kind, *frames()[1:], **options)
    with pytest.raises(PictureError, match="--frames first") as refusal:
        load(data)
    assert refusal.value.code == MULTI_FRAME
    assert np.array_equal(load(data, reading=FIRST), frames()[0])


def test_a_gif_is_read_by_the_same_option() -> None:
    data = saved(frames()[0], "GIF")
    with pytest.raises(PictureError, match=r"a GIF; .*--frames first") as refusal:
        load(data)
    assert refusal.value.code == FORMAT_NOT_ALLOWED
    assert np.array_equal(load(data, reading=FIRST), frames()[0])


def test_a_gif_keeps_to_the_limits() -> None:
    data = bytearray(saved(frames()[0], "GIF"))
    data[6:10] = struct.pack("<HH", 60_000, 60_000)
    assert code_of(bytes(data), FIRST) == TOO_LARGE
    data[6:10] = struct.pack("<HH", 1, 1)
    assert code_of(bytes(data), FIRST) == TOO_SMALL


@pytest.mark.parametrize(
    ("depth", "compression", "word"),
    [(32, 3, "bit fields"), (24, 4, "JPEG"), (24, 5, "PNG"), (32, 6, "alpha"), (2, 0, "2 bits"), (64, 0, "64 bits")],
)
def test_an_odd_bmp_is_unsupported_and_says_what_to_save(depth: int, compression: int, word: str) -> None:
    masks = struct.pack("<IIII", 0x3FF00000, 0xFFC00, 0x3FF, 0)
    data = bytearray(raw.bmp(8, 8, depth, bytes(8 * 8 * 8), masks))
    data[30:34] = struct.pack("<I", compression)
    with pytest.raises(PictureError, match=f"{word}.*24 bits, or as PNG") as refusal:
        decode_bytes(bytes(data))
    assert refusal.value.code == UNSUPPORTED


@pytest.mark.parametrize(("marker", "word"), [(0xC3, "lossless"), (0xF7, "JPEG-LS"), (None, "12-bit")])
def test_an_odd_jpeg_is_unsupported_and_says_what_to_save(marker: int | None, word: str) -> None:
    data = bytearray(saved(smooth(), "JPEG"))
    start = data.index(b"\xff\xc0")
    if marker:
        data[start + 1] = marker
    else:
        data[start + 4] = 12
    with pytest.raises(PictureError, match=word) as refusal:
        decode_bytes(bytes(data))
    assert refusal.value.code == UNSUPPORTED


def test_libtiff_writes_nothing_to_the_terminal(tmp_path: Path) -> None:
    page = Page(np.zeros((20, 20, 3), np.uint8), 2, compression=LZW)
    data = write(page)
    broken = data[:8] + b"\xff" * 40 + data[48:]
    odd = write(Page(page.samples, 2, compression=LZW, tags={65000: (4, [1]), 305: (3, [7])}))
    for name, content in {"broken": broken, "odd": odd}.items():
        (tmp_path / f"{name}.tif").write_bytes(content)
    program = (
        "import pathlib, sys\n"
        "from pix2pix.errors import PictureError\n"
        "from pix2pix.images.codec import decode\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    try:\n"
        "        decode(path)\n"
        "    except PictureError as error:\n"
        "        print(path.name, error.code)\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert ran.stdout == "broken.tif DAMAGED\n"
    assert ran.stderr == ""


def test_frames_and_range_reach_the_decoder_through_the_parameters(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.gif").write_bytes(saved(*frames()[:1], "GIF", *frames()[1:]))
    (source / "b.tif").write_bytes(write(Page(np.full((20, 20, 1), 500, np.int16), 1)))
    result = resize_folder(source, tmp_path / "out", ResizeParameters(size=16, frames="first", range=(0.0, 1000.0)))
    assert result.rejected == ()
    with Image.open(tmp_path / "out/b.png") as picture:
        assert picture.getpixel((3, 3)) == (128, 128, 128)
    refused = resize_folder(source, tmp_path / "none", ResizeParameters(size=16))
    assert [each.code for each in refused.rejected] == [MULTI_FRAME, "SAMPLE_RANGE"]
