"""The transparent colour of a PNG (tRNS), compared at the depth of the file's samples."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def scale_level(picture: Image.Image, depth: int) -> None:
    """Scale the transparent level of a grey PNG of 2 or 4 bits to 8 bits; Pillow scales only the samples."""
    clear = picture.info.get("transparency")
    if isinstance(clear, int) and picture.mode == "L" and depth in (2, 4):
        picture.info["transparency"] = clear * (255 // (2**depth - 1))


def keyed(picture: Image.Image, data: bytes) -> Image.Image:
    """Return alpha made from the transparent colour of a 16-bit RGB PNG, of which Pillow keeps only the high bytes.

    Args:
        picture: loaded from `data`.
        data: the whole file.

    Returns:
        RGBA for such a PNG; any other picture unchanged.
    """
    clear = picture.info.get("transparency")
    if not isinstance(clear, tuple) or picture.mode != "RGB" or data[24] != 16:
        return picture
    with Image.open(io.BytesIO(data), formats=("PNG",)) as again:
        again.tile = [
            tile._replace(args="RGB;16L") for tile in again.tile
        ]  # Decodes the low bytes as if they were the high ones.
        low = np.asarray(again)
    high = np.asarray(picture)
    values = np.asarray(clear)
    opaque = ((high != values >> 8) | (low != values & 255)).any(axis=-1)
    whole = picture.copy()
    whole.info.pop("transparency")
    whole.putalpha(Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8)))
    return whole
