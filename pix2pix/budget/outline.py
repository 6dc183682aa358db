"""Reads some pairs of a folder: how large they are, and how long it takes to read all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pix2pix.budget.choice import PairsOutline
from pix2pix.errors import InputError, PictureError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.header import read_file
from pix2pix.images.thread_map import in_threads
from pix2pix.training.pair_pixels import decode_parts, stack_parts

SAMPLE = 32
"""Pairs that are read, evenly distributed over the names."""

READINGS = 2
"""How often a training reads each pair before its first step: to learn from it, and to check it."""


def sample(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the pairs that are read."""
    return tuple(names[:: -(-len(names) // SAMPLE)]) if names else ()


def outline(
    folder: Path, names: Sequence[str], number: int, parameters: TrainParameters, clock: Callable[[], float] = time.time
) -> PairsOutline:
    """Read a sample of pairs.

    Args:
        folder: that holds the pairs.
        names: of the sample, relative to it.
        number: of all pairs.
        parameters: of the training; its size decides nothing.
        clock: returns seconds.

    Raises:
        InputError: none of the sample is a pair.
    """

    def side(name: str) -> int | None:
        try:
            parts = decode_parts(read_file(folder / name), parameters)
            stack_parts(parts, parameters.load_shape, parameters)
        except PictureError:
            return None
        return min(parts[0].shape[:2])

    began = clock()
    sides = [found for found in in_threads(side, names) if found is not None]
    seconds = clock() - began
    if not sides:
        raise InputError(f"none of {len(names)} pictures from {folder} is a usable pair; `pix2pix check` has reasons")
    return PairsOutline(number, int(statistics.median(sides)), READINGS * seconds * number / len(names))
