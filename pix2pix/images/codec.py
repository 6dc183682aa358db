"""Turns a picture file of any allowed kind into 8-bit pixels, and pixels into a PNG file."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from pix2pix.files import write_atomically
from pix2pix.images.opening import decoder_failures, open_header, read_file
from pix2pix.images.png.chunks import check_rows
from pix2pix.images.png.transparency import keyed
from pix2pix.images.rejections import CODES, Rejection
from pix2pix.images.srgb import CHANNELS, to_mode
from pix2pix.images.tiff.samples import SampledTiff
from pix2pix.reading import DEFAULT, ReadOptions

__all__ = ["CODES", "Pixels", "Rejection", "decode", "decode_bytes", "encode_png", "load", "png_bytes", "save_png"]

Pixels = NDArray[np.uint8]
"""8-bit samples, [H, W, C]."""

_RUN_LENGTH = 3
"""zlib's strategy for PNG: nearly as small as the default on filtered photographs, at twice the speed."""

HEAVY = 12_500_000
"""Pixels above which a picture is decoded together with one other such at most; one of 50 megapixels with alpha takes
700 MB while its colours are converted."""

_two_heavy = threading.BoundedSemaphore(2)

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(path: Path, channels: int = 3) -> Pixels:
    """Decode a JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF file, whatever its name says.

    The picture is turned upright (EXIF), its colours are sRGB, and more than 8 bits a sample are scaled to 8.

    Args:
        path: the file.
        channels: 1 grey, 2 grey and alpha, 3 sRGB, 4 sRGB and alpha; transparency is laid over white for 1 and 3.

    Returns:
        uint8 [H, W, channels].

    Raises:
        PictureError: the file cannot be used; the code is one of `CODES`.
    """
    return decode_bytes(read_file(path), channels)


def decode_bytes(data: bytes, channels: int = 3) -> Pixels:
    """Decode the content of a picture file; see `decode`."""
    pixels = np.array(load(data, CHANNELS[channels]))
    return pixels[..., np.newaxis] if channels == 1 else pixels


def load(
    data: bytes, mode: str = "RGB", at_least: tuple[int, int] | None = None, reading: ReadOptions = DEFAULT
) -> Image.Image:
    """Decode the content of a picture file to a Pillow picture, upright and in one of the modes of `CHANNELS`.

    Args:
        data: the whole file.
        mode: ``L``, ``LA``, ``RGB`` or ``RGBA``.
        at_least: width and height below which a JPEG must not be shrunk while it is decoded (by 2, 4 or 8, which
            saves most of the time); None decodes all pixels. Other formats are never shrunk.
        reading: how ambiguous pictures are read.

    Raises:
        PictureError: the file cannot be used.
    """
    picture = open_header(data, reading)
    with decoder_failures():
        if isinstance(picture, SampledTiff):
            with _two_heavy if picture.width * picture.height > HEAVY else contextlib.nullcontext():
                return to_mode(picture.decode(), mode)
        if at_least is not None and picture.format in ("JPEG", "MPO"):
            width, height = at_least
            picture.draft(None, (height, width) if _orientation(picture) >= 5 else (width, height))
        with _two_heavy if picture.width * picture.height > HEAVY else contextlib.nullcontext():
            picture.load()
            if picture.format == "PNG" and not np.asarray(picture.crop((0, picture.height - 1, *picture.size))).any():
                check_rows(data)  # Pillow leaves rows that are missing black, and says nothing.
            turn = _orientation(picture)
            converted = to_mode(keyed(picture, data) if picture.format == "PNG" else picture, mode)
            return converted.transpose(_UPRIGHT[turn]) if turn in _UPRIGHT else converted


def png_bytes(pixels: Pixels, text: Mapping[str, str] | None = None) -> bytes:
    """Encode pixels as PNG: the same bytes for the same pixels and text, and nothing else in it (no time, no EXIF).

    Args:
        pixels: uint8 [H, W] or [H, W, C], C from 1 to 4.
        text: Latin-1 keyword -> value, written as iTXt chunks in this order.
    """
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return _png(Image.fromarray(np.ascontiguousarray(pixels)), text)


def encode_png(pixels: Pixels, path: Path, text: Mapping[str, str] | None = None) -> None:
    """Write pixels to a PNG file, all of it or nothing; see `png_bytes`.

    Raises:
        OSError: no space left, or the folder cannot be written.
    """
    write_atomically(path, png_bytes(pixels, text))


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a Pillow picture as `encode_png` writes its pixels."""
    write_atomically(path, _png(picture, None))


def _png(picture: Image.Image, text: Mapping[str, str] | None) -> bytes:
    chunks = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        chunks.add_itxt(key, value)
    bare = picture.copy() if picture.info else picture
    bare.info = {}
    buffer = io.BytesIO()
    bare.save(buffer, format="PNG", compress_level=1, compress_type=_RUN_LENGTH, pnginfo=chunks)
    return buffer.getvalue()


def _orientation(picture: Image.Image) -> int:
    # Of a PNG only once it is loaded: Pillow would load it here, and a failure to would be lost below.
    if picture.format == "TIFF":
        return 1  # Pillow turns a TIFF upright when it loads it.
    try:
        turn = picture.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF is no reason to refuse the pixels, and its parser raises anything
        return 1
    return turn if isinstance(turn, int) else 1
