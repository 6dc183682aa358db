"""Registers the halves of a pair: how well their outlines coincide, shifted and mirrored too."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pix2pix.images.codec import Pixels

cv2.setNumThreads(1)  # pairs are measured in threads already

SIDE = 128
"""Height and width at which halves are registered, pixels."""

DESCRIPTOR = 32
"""Height and width of the outlines that are compared between pairs, pixels."""

REACH = SIDE // 4
"""Largest shift that is looked for, pixels of `SIDE`."""

Outlines = NDArray[np.float32]
"""Gradient magnitude, mean 0 and norm 1; all zero for a constant picture."""


@dataclass(frozen=True)
class Registration:
    """Correlation of the outlines of A and B, -1 to 1.

    Attributes:
        aligned: as they are.
        shifted: at the best shift, `aligned` or more.
        shift: that shift of B against A, right and down, as shares of width and height.
        mirrored: with B mirrored left-right, as it is or shifted by 1/32 of the side at most.
    """

    aligned: float
    shifted: float
    shift: tuple[float, float]
    mirrored: float


def outlines(pixels: Pixels) -> Outlines:
    """Draw the outlines of a picture, whatever its colours.

    Args:
        pixels: uint8 [H, W, 3].

    Returns:
        float32 [SIDE, SIDE].
    """
    scaled = cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.GaussianBlur(scaled, (0, 0), 1.0)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, borderType=cv2.BORDER_REPLICATE)
    # The square root keeps a few strong edges from outweighing all others.
    return normalized(np.sqrt(np.sqrt((across**2 + down**2).max(axis=-1))))


def descriptor(drawn: Outlines) -> Outlines:
    """Scale outlines to the size at which they are compared between pairs, float32 [DESCRIPTOR, DESCRIPTOR]."""
    return normalized(cv2.resize(drawn, (DESCRIPTOR, DESCRIPTOR), interpolation=cv2.INTER_AREA))


def normalized(values: NDArray[np.float32]) -> Outlines:
    """Shift and scale to mean 0 and norm 1; constant values become 0."""
    centred = values - values.mean()
    norm = float(np.linalg.norm(centred))
    return (centred / norm if norm > 1e-3 else np.zeros_like(centred)).astype(np.float32)


def register(a: Outlines, b: Outlines) -> Registration:
    """Compare the outlines of A and B, float32 [SIDE, SIDE] each.

    The cross-correlation is circular, computed in the frequency domain.
    """
    spectrum = np.fft.rfft2(a)
    plain = _correlation(spectrum, b)
    row, column = np.unravel_index(int(plain.argmax()), plain.shape)
    mirrored = _correlation(spectrum, b[:, ::-1])
    near = SIDE // 32
    middle = slice(REACH - near, REACH + near + 1)
    return Registration(
        aligned=float(plain[REACH, REACH]),
        shifted=float(plain[row, column]),
        shift=((int(column) - REACH) / SIDE, (int(row) - REACH) / SIDE),
        mirrored=float(mirrored[middle, middle].max()),
    )


def _correlation(spectrum: NDArray[np.complexfloating], b: Outlines) -> NDArray[np.float64]:
    """Correlation at each shift of B, -REACH to REACH both ways: [2 * REACH + 1, 2 * REACH + 1]."""
    full = np.fft.irfft2(np.conj(spectrum) * np.fft.rfft2(b), s=b.shape)
    reach = np.arange(-REACH, REACH + 1)
    return np.asarray(full[np.ix_(reach, reach)])
