"""Decides whether a picture's aspect ratio is too far from the model's to be meant for it."""

from __future__ import annotations

MAX_DISTORTION = 1.9
"""Aspect ratio (width / height) of a half over the model's, or the inverse, above which scaling is reported."""


def distortion(shape: tuple[int, ...], wanted: tuple[int, int]) -> float:
    """How much scaling changes the aspect ratio: 1 not at all.

    Args:
        shape: height and width of the picture, pixels.
        wanted: height and width that it is scaled to.
    """
    factor = (shape[1] / shape[0]) / (wanted[1] / wanted[0])
    return max(factor, 1 / factor)
