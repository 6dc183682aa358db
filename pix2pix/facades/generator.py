"""Generates facades as training data: label maps and the pictures that belong to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pix2pix.errors import InputError
from pix2pix.facades.layout import draw_labels
from pix2pix.facades.painting import paint
from pix2pix.images.codec import Pixels, encode_png

__all__ = ["facade", "make_facades", "make_labels", "make_pairs", "paint"]

SMALLEST = 16
"""Smallest size of a facade, pixels."""


def facade(size: int, seed: int, index: int) -> tuple[Pixels, Pixels]:
    """Generate one facade.

    Args:
        size: height and width, pixels.
        seed: of the series.
        index: of the facade in the series; facades of a series are independent of each other.

    Returns:
        label map and picture, uint8 ``[size, size, 3]`` each; the picture is `paint` of the label map.

    Raises:
        InputError: a size below `SMALLEST`, or a negative seed or index.
    """
    if size < SMALLEST:
        raise InputError(f"a facade of {size} pixels is too small; use a size of {SMALLEST} or more")
    if seed < 0 or index < 0:
        raise InputError(f"seed {seed} and index {index} must not be negative; use 0 or more")
    labels = draw_labels(size, np.random.default_rng([seed, index]))
    return labels, paint(labels)


def make_pairs(target: Path, count: int, size: int, seed: int, start: int = 0) -> None:
    """Write A|B pairs of label map and picture, so that the direction ``AtoB`` turns labels into facades.

    Args:
        target: folder for files ``facade-<index>.png``; created if missing.
        count: number of pairs.
        size: height of a pair and half of its width, pixels.
        seed: of the series.
        start: index of the first facade.

    Raises:
        OSError: `target` cannot be written.
    """
    for index in range(start, start + count):
        encode_png(np.concatenate(facade(size, seed, index), axis=1), target / name(index))


def make_labels(target: Path, count: int, size: int, seed: int, start: int = 0) -> None:
    """Write label maps alone; arguments as for `make_pairs`."""
    for index in range(start, start + count):
        encode_png(facade(size, seed, index)[0], target / name(index))


def make_facades(target: Path, count: int, size: int, seed: int, start: int = 0) -> None:
    """Write pictures alone, the ideal outputs for the label maps; arguments as for `make_pairs`."""
    for index in range(start, start + count):
        encode_png(facade(size, seed, index)[1], target / name(index))


def name(index: int) -> str:
    """Return the file name of a facade."""
    return f"facade-{index:04d}.png"
