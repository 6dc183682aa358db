"""Thumbnails of the pairs that a check found fault with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from pix2pix.datasets.checks.pair_faults import PairFault
from pix2pix.errors import PictureError
from pix2pix.images.codec import decode, png_bytes

HEIGHT, WIDEST = 96, 768
"""Height and greatest width of a thumbnail, pixels."""


@dataclass(frozen=True)
class PicturedFault:
    """A fault for a page.

    Attributes:
        fault: the fault.
        pictures: path and PNG of the pair, and of the other one if there are two; empty for a fault without pictures.
    """

    fault: PairFault
    pictures: tuple[tuple[str, bytes], ...]


def picture_faults(folder: Path, faults: Sequence[PairFault], most: int) -> tuple[PicturedFault, ...]:
    """Add thumbnails to the first faults.

    Args:
        folder: of the pairs.
        faults: worst first.
        most: number of faults that get thumbnails; a picture that cannot be decoded has none.
    """
    rows = []
    for index, fault in enumerate(faults):
        names = [name for name in (fault.path, fault.other) if name] if index < most else []
        thumbnails = ((name, _thumbnail(folder / name)) for name in names)
        rows.append(PicturedFault(fault, tuple((name, png) for name, png in thumbnails if png is not None)))
    return tuple(rows)


def _thumbnail(path: Path) -> bytes | None:
    try:
        pixels = decode(path)
    except PictureError:
        return None
    width = max(1, round(pixels.shape[1] * HEIGHT / pixels.shape[0]))
    return png_bytes(cv2.resize(pixels, (min(width, WIDEST), HEIGHT), interpolation=cv2.INTER_AREA))
