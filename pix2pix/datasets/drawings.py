"""The drawings that make a model's input from a photograph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pix2pix.images.fitting import canvas

Size = tuple[int, int]
"""Width and height, pixels."""

BLANK_FRACTION = 0.3
"""Side of the square that `blank` leaves white, as a fraction of the picture's."""


@dataclass(frozen=True)
class PairDrawing:
    """How A is made from B.

    Attributes:
        description: one line for people.
        draw: called with B (RGB, narrower or lower than the size if padded) and the size; returns A, RGB, of that size.
    """

    description: str
    draw: Callable[[Image.Image, Size], Image.Image]


def _edges(photograph: Image.Image, size: Size) -> Image.Image:
    # Imported here because only line drawings need OpenCV.
    from pix2pix.datasets.edges import draw_edges

    drawing = draw_edges(np.asarray(photograph))[..., 0]
    return canvas(Image.fromarray(drawing).convert("RGB"), size, "white")


def _grayscale(photograph: Image.Image, size: Size) -> Image.Image:
    return canvas(photograph.convert("L").convert("RGB"), size)


def _blank(photograph: Image.Image, size: Size) -> Image.Image:
    picture = canvas(photograph, size).copy()
    side = int(picture.width * BLANK_FRACTION)
    corner = int(picture.width / 2 - side / 2)
    picture.paste("white", (corner, corner, corner + side, corner + side))
    return picture


DRAWINGS: Mapping[str, PairDrawing] = {
    "edges": PairDrawing("A is a line drawing of B, the photograph", _edges),
    "grayscale": PairDrawing("A is B without its colours", _grayscale),
    "blank": PairDrawing("A is B with a white square, 0.3 of its side, in the middle", _blank),
}
"""Name of an operation that draws A from B -> how. The command line offers every entry."""
