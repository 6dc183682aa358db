"""Similarity of two picture files: L1 and SSIM as in `pix2pix.model.metrics`, without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pix2pix.errors import PictureError
from pix2pix.images.codec import decode_bytes, png_bytes
from pix2pix.images.fitting import stretched

WINDOW, SIGMA = 11, 1.5
"""Size and standard deviation, in pixels, of SSIM's Gaussian (Wang et al. 2004; `tf.image.ssim`)."""

SAME_LEVELS = 6.0
"""Mean difference, in levels of 255, up to which an input counts as the A of a pair: scaling and JPEG change it."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """How similar two pictures are.

    Attributes:
        l1: mean absolute difference on the scale [-1, 1]: 0 to 2, 0 if equal.
        ssim: -1 to 1, 1 if equal; None if a side is below 11 pixels.
    """

    l1: float
    ssim: float | None


def likeness(before: bytes, after: bytes) -> Likeness | None:
    """Compare two picture files; None if one of them is not a picture, or their sizes differ."""
    try:
        a, b = (decode_bytes(data).astype(np.float64) for data in (before, after))
    except PictureError:
        return None
    if a.shape != b.shape:
        return None
    ssim = _ssim(a, b) if min(a.shape[:2]) >= WINDOW else None
    return Likeness(float(np.abs(a - b).mean() / 127.5), ssim)


def _ssim(a: Values, b: Values) -> float:
    """Return the mean SSIM of pictures, float64 [H, W, C], 0 to 255."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _blurred(a), _blurred(b)
    both = mean_a * mean_b
    squares = mean_a**2 + mean_b**2
    light = (2 * both + c1) / (squares + c1)
    structure = (2 * (_blurred(a * b) - both) + c2) / (_blurred(a**2 + b**2) - squares + c2)
    return float((light * structure).mean())


def _blurred(values: Values) -> Values:
    """Return the Gaussian means at the positions where the whole window fits."""
    offsets = np.arange(WINDOW) - (WINDOW - 1) / 2
    weights = np.exp(-(offsets**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        values = np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis=axis) @ weights
    return values


def target_of(pair: bytes, picture: bytes) -> bytes | None:
    """Return B of a pair as PNG, at the size of a picture, if A is that picture; None otherwise.

    Args:
        pair: content of a pair's file.
        picture: content of a picture file.
    """
    try:
        both, seen = decode_bytes(pair), decode_bytes(picture)
    except PictureError:
        return None
    if both.shape[1] % 2:
        return None
    shape = (seen.shape[0], seen.shape[1])
    a, b = (stretched(np.ascontiguousarray(half), shape, labels=False) for half in np.split(both, 2, axis=1))
    return png_bytes(b) if np.abs(a.astype(np.int16) - seen).mean() < SAME_LEVELS else None
