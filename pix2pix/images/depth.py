"""Scaling of samples of any depth to 8 bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from pix2pix.errors import PictureError
from pix2pix.images.rejections import NOT_FINITE, SAMPLE_RANGE
from pix2pix.reading import Range

_ROWS = 256
"""Rows that are scaled at a time, so that the intermediate float64 array stays small."""


def to_bytes(values: Any, bits: int, declared: Range | None = None) -> Any:
    """Scale to 8 bits.

    Unsigned integers of up to 16 bits keep their 8 highest bits; so do 32 bits unless a range is declared. Floats
    without a declared range are taken as 0 to 1, 0 to 255 or 0 to 65,535, the smallest that holds them all.

    Args:
        values: [H, W], unsigned, signed or float32.
        bits: depth of a sample, 8 to 32; 12 bits come as uint16.
        declared: values of black and white; values outside are clipped.

    Returns:
        uint8 [H, W].

    Raises:
        PictureError: ``NOT_FINITE``, or ``SAMPLE_RANGE`` for floats outside all of these ranges.
    """
    is_float = values.dtype.kind == "f"
    if is_float and not np.isfinite(values).all():
        raise PictureError(NOT_FINITE, "samples that are infinite or not a number")
    if declared is not None and (is_float or values.dtype.kind == "i" or bits == 32):
        return _scaled(values, *declared)
    if is_float:
        return _scaled(values, 0.0, _white_of(values))
    return values if bits == 8 else (values >> (bits - 8)).astype(np.uint8)


def _white_of(values: Any) -> float:
    low, high = float(values.min()), float(values.max())
    white = next((white for white in (1.0, 255.0, 65535.0) if high <= white), None)
    if low < 0 or white is None:
        raise PictureError(
            SAMPLE_RANGE,
            f"floating point samples from {low:g} to {high:g}; scale them to 0 to 1, or declare the values of black and"
            " white ([resize] range = [low, high])",
        )
    return white


def _scaled(values: Any, low: float, high: float) -> Any:
    out = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _ROWS):
        part = values[top : top + _ROWS].astype(np.float64)
        out[top : top + _ROWS] = np.rint(np.clip((part - low) * (255.0 / (high - low)), 0, 255)).astype(np.uint8)
    return out
