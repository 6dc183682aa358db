"""How near two picture files are to each other: L1 and SSIM, in numpy.

The same figures as `pix2pix.model.metrics`, without loading TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pix2pix.errors import PictureError
from pix2pix.images.codec import decode_bytes

WINDOW, SIGMA = 11, 1.5
"""Of SSIM's Gaussian, as in Wang et al. 2004 and `tf.image.ssim`."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Likeness:
    """How near two pictures are.

    Attributes:
        l1: mean absolute difference on the scale [-1, 1]: 0 to 2, less is nearer.
        ssim: at most 1, more is nearer; None below 11 pixels.
    """

    l1: float
    ssim: float | None


def likeness(before: bytes, after: bytes) -> Likeness | None:
    """Compare two picture files; None where one is no picture, or their sizes differ."""
    try:
        a, b = (decode_bytes(one).astype(np.float64) for one in (before, after))
    except PictureError:
        return None
    if a.shape != b.shape:
        return None
    ssim = _ssim(a, b) if min(a.shape[:2]) >= WINDOW else None
    return Likeness(float(np.abs(a - b).mean() / 127.5), ssim)


def _ssim(a: Values, b: Values) -> float:
    """Mean SSIM of pictures ``[H, W, C]`` from 0 to 255."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mean_a, mean_b = _blurred(a), _blurred(b)
    both = mean_a * mean_b
    squares = mean_a**2 + mean_b**2
    light = (2 * both + c1) / (squares + c1)
    structure = (2 * (_blurred(a * b) - both) + c2) / (_blurred(a**2 + b**2) - squares + c2)
    return float((light * structure).mean())


def _blurred(values: Values) -> Values:
    """Gaussian means where the whole window fits."""
    at = np.arange(WINDOW) - (WINDOW - 1) / 2
    weights = np.exp(-(at**2) / (2 * SIGMA**2))
    weights /= weights.sum()
    for axis in (0, 1):
        values = np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis=axis) @ weights
    return values
