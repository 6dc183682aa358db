"""Applies the colour that a PNG declares transparent (tRNS) at the depth of the file's samples."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def scale_level(picture: Image.Image, depth: int) -> None:
    """Bring the transparent level of a grey PNG of 2 or 4 bits to the 8 bits of its samples, which Pillow does not."""
    clear = picture.info.get("transparency")
    if isinstance(clear, int) and picture.mode == "L" and depth in (2, 4):
        picture.info["transparency"] = clear * (255 // (2**depth - 1))


def keyed(picture: Image.Image, data: bytes) -> Image.Image:
    """Make alpha from the transparent colour of an RGB PNG of 16 bits, of which Pillow keeps the high bytes alone.

    Args:
        picture: loaded from `data`.
        data: the whole file.

    Returns:
        RGBA for such a PNG; any other picture as it is.
    """
    clear = picture.info.get("transparency")
    if not isinstance(clear, tuple) or picture.mode != "RGB" or data[24] != 16:
        return picture
    with Image.open(io.BytesIO(data), formats=("PNG",)) as again:
        again.tile = [tile._replace(args="RGB;16L") for tile in again.tile]  # The low bytes, as if they were the high.
        low = np.asarray(again)
    high = np.asarray(picture)
    values = np.asarray(clear)
    opaque = ((high != values >> 8) | (low != values & 255)).any(axis=-1)
    whole = picture.copy()
    whole.info.pop("transparency")
    whole.putalpha(Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8)))
    return whole
