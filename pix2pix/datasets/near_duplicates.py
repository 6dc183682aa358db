"""Finds pictures that are nearly equal: perceptual hashes first, then the outlines of both halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from pix2pix.images.codec import Pixels

SIDE, FREQUENCIES = 64, 16
"""A picture is scaled to SIDE x SIDE; the FREQUENCIES x FREQUENCIES lowest cosines of it are hashed."""

BITS = FREQUENCIES**2

MOST_BITS = round(0.22 * BITS)
"""Bits that differ at most between the hashes of nearly equal pictures."""

LIKENESS = (0.82, 0.68)
"""Correlation of the outlines of nearly equal pictures, at least: left halves, right halves."""

CHUNK = 256
"""Rows of the distance matrix that are held at once."""

Hash = NDArray[np.uint64]
"""`BITS` bits in words of 64."""

Indices = NDArray[np.intp]
Distances = NDArray[np.uint16]

HalfOutlines = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Outlines of the left and of the right halves of K pictures, [K, N] each, mean 0 and norm 1 in each row."""


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


def near_copies(
    hashes: NDArray[np.uint64], outlines_of: Callable[[Indices], HalfOutlines]
) -> Iterator[tuple[int, Indices, Distances]]:
    """Find the pictures that nearly equal another one.

    Time grows with N^2 (about 1 s for 10,000 pictures); memory with N, and with the number of pictures whose hash is
    close to another one's.

    Args:
        hashes: uint64 [N, 4], of the right halves.
        outlines_of: returns the outlines of the pictures at some indices; called once, with those whose hash is close
            to another one's, and not called if there are none.

    Yields:
        index of a picture, the larger indices of those that nearly equal it, and how many bits of the hash differ;
        ordered by the first.
    """
    flags = np.zeros(len(hashes), bool)
    for rows, columns, _ in _close(hashes):
        flags[rows] = flags[columns] = True
    chosen = np.flatnonzero(flags)
    if not len(chosen):
        return
    left, right = outlines_of(chosen)
    for rows, columns, bits in _close(hashes[chosen]):
        first, last = rows[0], rows[-1] + 1
        alike = [
            (half[first:last] @ half[first:].T)[rows - first, columns - first] > least
            for half, least in zip((left, right), LIKENESS, strict=True)
        ]
        same = alike[0] & alike[1]
        rows, columns, bits = rows[same], columns[same], bits[same]
        ends = np.flatnonzero(np.diff(rows)) + 1
        for row, later, distances in zip(*(np.split(part, ends) for part in (rows, columns, bits)), strict=True):
            if len(row):
                yield int(chosen[row[0]]), chosen[later], distances


def _close(hashes: NDArray[np.uint64]) -> Iterator[tuple[Indices, Indices, Distances]]:
    """Yield, for some rows at a time, the index pairs (first < second) with close hashes, and their distances."""
    for start in range(0, len(hashes), CHUNK):
        some, later = hashes[start : start + CHUNK], hashes[start:]
        distances = np.zeros((len(some), len(later)), np.uint16)
        for word in range(hashes.shape[1]):
            distances += np.bitwise_count(some[:, None, word] ^ later[None, :, word])
        rows, columns = np.nonzero(np.triu(distances <= MOST_BITS, 1))
        if len(rows):
            yield rows + start, columns + start, distances[rows, columns]
