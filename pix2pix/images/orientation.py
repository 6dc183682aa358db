"""Turns pictures upright by their orientation tag, as EXIF and TIFF number it."""

from __future__ import annotations

from PIL import Image

ORIENTATION = 0x0112
"""Number of the tag in EXIF and TIFF."""

_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture turned upright.

    Args:
        picture: as stored.
        orientation: value of the tag, 1 to 8; any other value turns nothing.
    """
    transposition = _TRANSPOSITIONS.get(orientation)
    return picture if transposition is None else picture.transpose(transposition)
