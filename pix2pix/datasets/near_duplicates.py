"""Finds pictures that are nearly equal: perceptual hashes, compared by Hamming distance."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from pix2pix.images.codec import Pixels

SIDE, FREQUENCIES = 64, 16
"""A picture is scaled to SIDE x SIDE; the FREQUENCIES x FREQUENCIES lowest cosines of it are hashed."""

BITS = FREQUENCIES**2

CHUNK = 256
"""Rows of the distance matrix that are held at once."""

Hash = NDArray[np.uint64]
"""`BITS` bits in words of 64."""


def perceptual_hash(pixels: Pixels) -> Hash:
    """Hash what a picture shows: another size, brightness or JPEG quality changes few bits.

    The pHash of C. Zauner (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010), with 256 bits
    instead of 64, since the 64 lowest frequencies do not tell apart pictures of one layout, such as facades.

    Args:
        pixels: uint8 [H, W, 3].

    Returns:
        uint64 [4]; of a constant picture, an arbitrary value.
    """
    luma = cv2.cvtColor(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    cosines = cv2.dct(luma.astype(np.float32))[:FREQUENCIES, :FREQUENCIES].ravel()
    cosines[0] = 0  # the mean brightness
    return np.packbits(cosines > np.median(cosines)).view(np.uint64)


def close(hashes: NDArray[np.uint64], most: int) -> Iterator[tuple[int, int, int]]:
    """Find the pictures whose hashes differ in few bits.

    Args:
        hashes: uint64 [N, 4].
        most: largest Hamming distance, bits.

    Yields:
        index of the first, index of the second (larger), distance. Time grows with N^2, memory with N.
    """
    for first in range(0, len(hashes), CHUNK):
        rows = hashes[first : first + CHUNK]
        later = hashes[first:]
        distances = np.zeros((len(rows), len(later)), np.uint16)
        for word in range(hashes.shape[1]):
            distances += np.bitwise_count(rows[:, None, word] ^ later[None, :, word])
        for row, column in np.argwhere(distances <= most):
            if column > row:
                yield first + int(row), first + int(column), int(distances[row, column])
