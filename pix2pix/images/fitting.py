"""Scaling of pictures to a size: cropped, padded or stretched."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pix2pix.images.codec import Pixels


def fit(picture: Image.Image, size: tuple[int, int], how: str, labels: bool = False) -> Image.Image:
    """Scale a picture to exactly `size` without distorting it.

    Args:
        picture: RGB or L.
        size: width and height of the result, pixels.
        how: ``crop`` (the largest centred part of that shape) or ``pad`` (the whole picture, centred on black).
        labels: nearest neighbour instead of antialiased bicubic.
    """
    return canvas(scaled(picture, size, how, labels), size)


def scaled(picture: Image.Image, size: tuple[int, int], how: str, labels: bool = False) -> Image.Image:
    """Scale as `fit` does, without the black: with ``pad``, the result is narrower or lower than `size`."""
    filtering = Image.Resampling.NEAREST if labels else Image.Resampling.BICUBIC
    across, down = picture.width / size[0], picture.height / size[1]
    if how == "crop":
        width = picture.width if across <= down else size[0] * down
        height = picture.height if down <= across else size[1] * across
        left, top = (picture.width - width) / 2, (picture.height - height) / 2
        return picture.resize(size, filtering, box=(left, top, left + width, top + height))
    scale = max(across, down)
    return picture.resize((max(1, round(picture.width / scale)), max(1, round(picture.height / scale))), filtering)


def canvas(picture: Image.Image, size: tuple[int, int], colour: str = "black") -> Image.Image:
    """Centre a picture on a canvas of one colour; a picture of that size is returned unchanged."""
    if picture.size == size:
        return picture
    whole = Image.new(picture.mode, size, colour)
    whole.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return whole


def stretched(pixels: Pixels, shape: tuple[int, int], *, labels: bool) -> Pixels:
    """Scale a picture, uint8 ``[H, W, 3]``, to height and width, as training scales inputs."""
    if pixels.shape[:2] == shape:
        return pixels
    resampling = Image.Resampling.NEAREST if labels else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(pixels).resize(shape[::-1], resampling))
