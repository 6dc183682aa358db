"""Conversion of what a model may be called with to a batch, and of the batch it returns to the like."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from pix2pix.errors import InputError, PictureError
from pix2pix.images.codec import Pixels, decode
from pix2pix.images.header import decoder_failures
from pix2pix.images.rejections import UNSUPPORTED
from pix2pix.images.srgb import to_mode

ACCEPTED = "pass a path, a PIL image, or a uint8 NumPy array [H, W], [H, W, 3] or [N, H, W, 3]"


def to_batch(picture: Any) -> Pixels:
    """Convert a picture, or an array of several, to uint8 sRGB ``[N, H, W, 3]``.

    Args:
        picture: a path, a PIL image of any mode, or a uint8 array ``[H, W]`` (grey), ``[H, W, 3]`` or ``[N, H, W, 3]``.

    Raises:
        InputError: anything else, or no such file.
        PictureError: a picture that cannot be decoded or converted.
    """
    if isinstance(picture, str | os.PathLike):
        return _from_file(picture)[np.newaxis]
    if isinstance(picture, Image.Image):
        return _from_pillow(picture)[np.newaxis]
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    raise InputError(f"a picture of type {type(picture).__name__} cannot be translated; {ACCEPTED}")


def to_like(batch: Pixels, picture: Any) -> Any:
    """Return a translated batch in the form of the picture that it was made from.

    Args:
        batch: uint8 ``[N, H, W, 3]``, or ``[N, H, W, 1]`` from a model of one output channel.
        picture: what `to_batch` was given.

    Returns:
        for a path or PIL image, a PIL image in mode RGB or L; for an array, an array with the same leading axes, and a
        last axis of 3 unless the model has one output channel.
    """
    pixels = batch[..., 0] if batch.shape[-1] == 1 else batch
    if not isinstance(picture, np.ndarray):
        return Image.fromarray(pixels[0])
    return pixels if picture.ndim == 4 else pixels[0]


def _from_file(path: str | os.PathLike[Any]) -> Pixels:
    name = os.fsdecode(path)
    try:
        file = Path(name)
        is_folder, exists = file.is_dir(), file.exists()
    except (OSError, ValueError) as error:  # a name that is too long, or that contains a null byte
        raise InputError(f"the path {name[:80]!r} cannot be used: {error}; {ACCEPTED}") from error
    if is_folder:
        raise InputError(f"{file} is a folder; pix2pix.generate(model, input, output) translates a folder of pictures")
    if not exists:
        raise InputError(f"the picture {file} does not exist; {ACCEPTED}")
    try:
        return decode(file)
    except PictureError as error:
        raise PictureError(error.code, f"{file}: {error.reason}") from error


def _from_pillow(picture: Image.Image) -> Pixels:
    if not picture.width or not picture.height:
        raise InputError(f"a PIL image of {picture.width}x{picture.height} has no pixels; {ACCEPTED}")
    with decoder_failures():
        picture.load()
        if picture.mode == "F" or (picture.mode == "I" and not _has_16_bits(picture)):
            raise PictureError(
                UNSUPPORTED, f"a PIL image of mode {picture.mode} has no fixed range; scale it to mode L"
            )
        return np.array(to_mode(ImageOps.exif_transpose(picture), "RGB"))


def _has_16_bits(picture: Image.Image) -> bool:
    low, high = picture.getextrema()
    return 0 <= low <= high < 2**16  # type: ignore[operator]


def _from_array(pixels: Any) -> Pixels:
    shape = list(pixels.shape)
    if pixels.dtype != np.uint8:
        raise InputError(
            f"an array of dtype {pixels.dtype} cannot be translated; {ACCEPTED}, with values from 0 to 255"
            + (" (for values from 0 to 1: (255 * x).round().astype('uint8'))" if pixels.dtype.kind == "f" else "")
        )
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., np.newaxis], 3, axis=-1)
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise InputError(f"an array of shape {shape} cannot be translated; {ACCEPTED}")
    if not pixels.size:
        raise InputError(f"an array of shape {shape} has no pixels; {ACCEPTED}")
    return np.ascontiguousarray(pixels if pixels.ndim == 4 else pixels[np.newaxis])
