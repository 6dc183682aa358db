"""Line drawings of photographs: lines of one pixel, black on white, without a trained network.

Texture is smoothed and borders are kept (bilateral filter). The gradient is that of all colours in CIE Lab (Di Zenzo's
structure tensor), so that red fur on green grass is a border although both are equally bright. It is thinned, followed
(Canny), and freed of lines that are too short. This is the only module that needs OpenCV.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pix2pix.images.codec import Pixels

cv2.setNumThreads(1)  # pictures are already converted in threads

REFERENCE = 256
"""Side of a picture, in pixels, that the lengths below refer to; they scale with the picture."""

STRONG_FRACTION = 0.12
"""Fraction of the pixels whose gradient is strong enough to begin a line, before thinning."""

FOLLOW_FRACTION = 0.4
"""Weakest gradient along a line, relative to that of its beginning."""

MIN_GRADIENT = 1.5
"""Gradient, in Lab units per pixel, below which no line begins: that of noise on an even surface."""

MIN_LENGTH = 18
"""Length of the shortest line that is kept, in pixels at `REFERENCE`."""


def draw_edges(pixels: Pixels) -> Pixels:
    """Draw the lines of a photograph.

    Args:
        pixels: uint8 [H, W, 3], sRGB.

    Returns:
        uint8 [H, W, 1]: 0 on a line, 255 elsewhere.
    """
    scale = max(pixels.shape[:2]) / REFERENCE
    smooth = np.ascontiguousarray(pixels)
    for _ in range(3):
        smooth = cv2.bilateralFilter(smooth, 0, 25, max(1.0, 3 * scale))
    strength, angle = _gradient(smooth, max(0.8, 1.2 * scale))
    begin = max(float(np.quantile(strength, 1 - STRONG_FRACTION)), MIN_GRADIENT)
    # Canny takes 16-bit gradients; the thresholds scale with them.
    unit = 8000 / max(float(strength.max()), begin)
    across, down = ((strength * wave(angle) * unit).astype(np.int16) for wave in (np.cos, np.sin))
    lines = cv2.Canny(across, down, FOLLOW_FRACTION * begin * unit, begin * unit, L2gradient=True)
    return np.where(_long_lines(lines, max(4, round(MIN_LENGTH * scale))), 0, 255).astype(np.uint8)[..., np.newaxis]


def _gradient(pixels: Pixels, sigma: float) -> tuple[Any, Any]:
    """Return strength (Lab units per pixel) and direction (radians) of the steepest change of colour, [H, W] each."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lab = cv2.GaussianBlur(lab, (0, 0), sigma)
    across = cv2.Sobel(lab, cv2.CV_32F, 1, 0, ksize=3) / 8
    down = cv2.Sobel(lab, cv2.CV_32F, 0, 1, ksize=3) / 8
    xx, xy, yy = ((first * second).sum(axis=-1) for first, second in ((across, across), (across, down), (down, down)))
    strength = np.sqrt((xx + yy + np.sqrt((xx - yy) ** 2 + 4 * xy**2)) / 2)
    return strength, 0.5 * np.arctan2(2 * xy, xx - yy)


def _long_lines(lines: Any, shortest: int) -> Any:
    """Return where the connected lines of at least `shortest` pixels are: bool [H, W]."""
    _, numbers, measures, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
    keep = measures[:, cv2.CC_STAT_AREA] >= shortest
    keep[0] = False
    return keep[numbers]
