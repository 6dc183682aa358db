"""A|B pairs: one picture file, A in its left half, B in its right half."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pix2pix.errors import PictureError
from pix2pix.images.codec import Pixels, decode, decode_bytes, png_bytes
from pix2pix.images.fitting import stretched
from pix2pix.images.folders import find_pictures, survey
from pix2pix.images.rejections import BAD_PAIR

__all__ = ["find_pictures", "halves", "read_pair", "survey", "target_of"]


SAME_LEVELS = 6.0
"""Mean difference, in levels of 255, up to which an input counts as the A of a pair: scaling and JPEG change it."""


def read_pair(path: Path, channels: int = 3) -> tuple[Pixels, Pixels]:
    """Decode a pair.

    Args:
        path: a picture file with A left and B right.
        channels: of each half, 1 to 4, as in `pix2pix.images.codec.decode`.

    Returns:
        A and B, uint8 [H, W / 2, channels] each.

    Raises:
        PictureError: the file cannot be used; ``BAD_PAIR`` if its width is odd.
    """
    return halves(decode(path, channels))


def halves(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """Split decoded pixels [H, 2W, C] into A and B, [H, W, C] each.

    Raises:
        PictureError: ``BAD_PAIR`` if the width is odd.
    """
    width = pixels.shape[1]
    if width % 2:
        raise PictureError(BAD_PAIR, f"an A|B pair has an even width, and this picture is {width} pixels wide")
    return pixels[:, : width // 2], pixels[:, width // 2 :]


def target_of(pair: bytes, picture: bytes) -> bytes | None:
    """Return B of a pair as PNG, at the size of a picture, if A is that picture; None otherwise.

    Args:
        pair: content of a pair's file.
        picture: content of a picture file.
    """
    try:
        (a, b), seen = halves(decode_bytes(pair)), decode_bytes(picture)
    except PictureError:
        return None
    shape = (seen.shape[0], seen.shape[1])
    a, b = (stretched(np.ascontiguousarray(half), shape, labels=False) for half in (a, b))
    return png_bytes(b) if np.abs(a.astype(np.int16) - seen).mean() < SAME_LEVELS else None
