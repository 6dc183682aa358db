"""Limits on the size and shape of a picture."""

from __future__ import annotations

from pix2pix.errors import PictureError
from pix2pix.images.rejections import ASPECT, TOO_LARGE, TOO_SMALL

MAX_BYTES = 512 * 1024 * 1024
"""Largest file, in bytes."""
MAX_PIXELS = 50_000_000
"""Largest picture, in pixels."""
MAX_SIDE = 16_384
"""Longest side, in pixels; WebP's own maximum is one less."""
MIN_SIDE = 2
"""Shortest side, in pixels."""
MAX_SCANS = 100
"""Maximum scans of a JPEG. A progressive one has about ten, and each takes as long as decoding the whole picture."""
MAX_ASPECT = 20
"""Longest side over shortest side."""


def check_largest(width: int, height: int) -> None:
    """Refuse pictures over the limits of size.

    Raises:
        PictureError: ``TOO_LARGE``.
    """
    if max(width, height) > MAX_SIDE:
        raise PictureError(TOO_LARGE, f"{width}x{height}, over the limit of {MAX_SIDE:,} pixels per side")
    if width * height > MAX_PIXELS:
        raise PictureError(TOO_LARGE, f"{width}x{height}, over the limit of {MAX_PIXELS:,} pixels")


def check_size(width: int, height: int) -> None:
    """Refuse pictures over or under the limits.

    Raises:
        PictureError: ``TOO_LARGE``, ``TOO_SMALL`` or ``ASPECT``.
    """
    check_largest(width, height)
    if min(width, height) < MIN_SIDE:
        raise PictureError(TOO_SMALL, f"{width}x{height}, a side under {MIN_SIDE} pixels")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise PictureError(ASPECT, f"{width}x{height}, one side over {MAX_ASPECT} times the other")
