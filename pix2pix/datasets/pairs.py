"""A|B pairs: one picture file, A in its left half, B in its right half."""

from __future__ import annotations

from pathlib import Path

from pix2pix.errors import PictureError
from pix2pix.images.codec import Pixels, decode
from pix2pix.images.folders import find_pictures, survey
from pix2pix.images.rejections import BAD_PAIR

__all__ = ["find_pictures", "halves", "read_pair", "survey"]


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
