"""Makes house fronts to learn from and to try a model on: label maps, and the pictures that belong to them.

It exists so that the demo and the tests have as many pictures as they want, of any size, without a download.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pix2pix.errors import InputError
from pix2pix.facades.layout import draw_labels
from pix2pix.facades.painting import paint
from pix2pix.images.codec import Pixels, encode_png

__all__ = ["facade", "make_facades", "make_labels", "make_pairs", "paint"]

SMALLEST = 16
"""Smallest side, in pixels."""


def facade(size: int, seed: int, index: int) -> tuple[Pixels, Pixels]:
    """Make one facade.

    Args:
        size: side, pixels.
        seed: of the whole series.
        index: which of the series; the others have no part in it.

    Returns:
        its label map and its picture, uint8 [size, size, 3] each; the picture is `paint` of the label map.

    Raises:
        InputError: a size under `SMALLEST`, or a negative seed or index.
    """
    if size < SMALLEST:
        raise InputError(f"a facade of {size} pixels shows nothing; take a size of {SMALLEST} or more")
    if seed < 0 or index < 0:
        raise InputError(f"seed {seed} and index {index} must not be negative")
    labels = draw_labels(size, np.random.default_rng([seed, index]))
    return labels, paint(labels)


def make_pairs(target: Path, count: int, size: int, seed: int, start: int = 0) -> None:
    """Write A|B pairs: A the label map, B its picture, so that direction ``AtoB`` turns labels into facades.

    Args:
        target: folder, made if missing; files are ``facade-<index>.png``.
        count: how many.
        size: height of a pair and half of its width, pixels.
        seed: of the series.
        start: index of the first; another start gives other facades of the same series.

    Raises:
        OSError: `target` cannot be written.
    """
    for index in range(start, start + count):
        encode_png(np.concatenate(facade(size, seed, index), axis=1), target / name(index))


def make_labels(target: Path, count: int, size: int, seed: int, start: int = 0) -> None:
    """Write label maps alone, named as by `make_pairs`."""
    for index in range(start, start + count):
        encode_png(facade(size, seed, index)[0], target / name(index))


def make_facades(target: Path, count: int, size: int, seed: int, start: int = 0) -> None:
    """Write the pictures alone, named as by `make_labels`: what a perfect model would make of its label maps."""
    for index in range(start, start + count):
        encode_png(facade(size, seed, index)[1], target / name(index))


def name(index: int) -> str:
    """Name the file of one facade."""
    return f"facade-{index:04d}.png"
