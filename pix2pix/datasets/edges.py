"""Draws the lines of a photograph, one pixel thin, black on white.

It exists apart because it alone needs OpenCV. The method is classical and needs no trained network: smooth what is
texture and keep what is border (bilateral filter), take the gradient of the colours together in CIE Lab (Di Zenzo's
structure tensor, so that red fur on green grass is a border although both are equally bright), thin it and follow it
(Canny), and drop what is too short to be a line.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from pix2pix.images.codec import Pixels

cv2.setNumThreads(1)  # pictures are drawn in threads already

REFERENCE = 256
"""Side, in pixels, that the lengths below are meant for; they scale with the picture."""

SHARE = 0.12
"""Share of the pixels whose gradient is strong enough to begin a line, before thinning."""

FOLLOW = 0.4
"""How weak a line may become, relative to where it began."""

FAINTEST = 1.5
"""Gradient, in units of Lab per pixel, below which no line begins: what noise in an even surface has."""

SHORTEST = 18
"""Shortest line that is kept, in pixels at `REFERENCE`."""


def draw_edges(pixels: Pixels) -> Pixels:
    """Draw a photograph's lines.

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
    begin = max(float(np.quantile(strength, 1 - SHARE)), FAINTEST)
    # Canny takes 16-bit gradients; thresholds scale with them.
    unit = 8000 / max(float(strength.max()), begin)
    across, down = ((strength * wave(angle) * unit).astype(np.int16) for wave in (np.cos, np.sin))
    lines = cv2.Canny(across, down, FOLLOW * begin * unit, begin * unit, L2gradient=True)
    return np.where(_long(lines, max(4, round(SHORTEST * scale))), 0, 255).astype(np.uint8)[..., np.newaxis]


def _gradient(pixels: Pixels, sigma: float) -> tuple[Any, Any]:
    """Strength (Lab units per pixel) and direction (radians) of the steepest change of colour, [H, W] each."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lab = cv2.GaussianBlur(lab, (0, 0), sigma)
    across = cv2.Sobel(lab, cv2.CV_32F, 1, 0, ksize=3) / 8
    down = cv2.Sobel(lab, cv2.CV_32F, 0, 1, ksize=3) / 8
    xx, xy, yy = ((one * other).sum(axis=-1) for one, other in ((across, across), (across, down), (down, down)))
    strength = np.sqrt((xx + yy + np.sqrt((xx - yy) ** 2 + 4 * xy**2)) / 2)
    return strength, 0.5 * np.arctan2(2 * xy, xx - yy)


def _long(lines: Any, shortest: int) -> Any:
    """Keep the connected lines of at least so many pixels: bool [H, W]."""
    _, numbers, measures, _ = cv2.connectedComponentsWithStats(lines, connectivity=8)
    keep = measures[:, cv2.CC_STAT_AREA] >= shortest
    keep[0] = False
    return keep[numbers]
