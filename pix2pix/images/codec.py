"""Decoding of picture files to 8-bit pixels, and encoding of pixels as PNG."""

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
from pix2pix.images.header import decoder_failures, open_header, read_file
from pix2pix.images.orientation import ORIENTATION, upright
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
"""zlib's strategy Z_RLE: on filtered photographs nearly as small as the default, at twice the speed."""

HEAVY = 12_500_000
"""Pixels above which at most two pictures are decoded at once: one of 50 megapixels with alpha takes 700 MB while its
colours are converted."""

_two_heavy = threading.BoundedSemaphore(2)


def decode(path: Path, channels: int = 3) -> Pixels:
    """Decode a JPEG, PNG, WebP, BMP, TIFF, HEIC or AVIF file, whatever its name is.

    The result is upright (EXIF), its colours are sRGB, and samples of more than 8 bits are scaled to 8.

    Args:
        path: the file.
        channels: 1 grey, 2 grey and alpha, 3 sRGB, 4 sRGB and alpha; 1 and 3 composite transparency over white.

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
    """Decode the content of a picture file to a Pillow image, upright and in one of the modes of `CHANNELS`.

    Args:
        data: the whole file.
        mode: ``L``, ``LA``, ``RGB`` or ``RGBA``.
        at_least: width and height below which a JPEG must not be scaled down while it is decoded (by 2, 4 or 8, which
            saves most of the time); None decodes all pixels. Other formats are never scaled down.
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
                check_rows(data)  # Pillow leaves missing rows black and reports nothing.
            orientation = _orientation(picture)
            converted = to_mode(keyed(picture, data) if picture.format == "PNG" else picture, mode)
            return upright(converted, orientation)


def png_bytes(pixels: Pixels, text: Mapping[str, str] | None = None) -> bytes:
    """Encode pixels as PNG. Equal pixels and text give equal bytes: the file holds no time and no EXIF.

    Args:
        pixels: uint8 [H, W] or [H, W, C], C from 1 to 4.
        text: Latin-1 keyword -> value, written as iTXt chunks in this order.
    """
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return _png(Image.fromarray(np.ascontiguousarray(pixels)), text)


def encode_png(pixels: Pixels, path: Path, text: Mapping[str, str] | None = None) -> None:
    """Write pixels to a PNG file, atomically; see `png_bytes`.

    Raises:
        OSError: no space left, or the folder cannot be written.
    """
    write_atomically(path, png_bytes(pixels, text))


def save_png(picture: Image.Image, path: Path) -> None:
    """Write a Pillow image as `encode_png` writes its pixels."""
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
    # For a PNG, call this only once it is loaded: getexif() would load it, and its failure would be lost below.
    if picture.format in ("TIFF", "HEIF"):
        return 1  # The decoder turns these upright.
    if picture.format == "AVIF":
        # Pillow writes the container's transformations into EXIF. XMP is a note only, and Pillow would fall back to it.
        picture.info.pop("xmp", None)
    try:
        turn = picture.getexif().get(ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - broken EXIF is not a reason to refuse the pixels, and its parser raises anything
        return 1
    return turn if isinstance(turn, int) else 1
