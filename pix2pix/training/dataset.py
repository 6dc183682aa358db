"""The pairs of a training: decoded once, split by content, dealt out in a resumable order.

The pairs of a step, their crops and flips are a function of the seed and the step's number alone.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pix2pix.errors import PictureError, WorkError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels, Rejection
from pix2pix.images.header import read_file
from pix2pix.images.thread_map import in_threads
from pix2pix.model.look import InputLook
from pix2pix.training.pair_pixels import decode_parts, stack_parts

Batch = tuple[Pixels, NDArray[np.int32]]
"""Stacked pairs, uint8 ``[N, H, W, C]``, and the seeds of each pair's dropout, int32 ``[N, 2]``."""

_ORDER, _CROP = 1, 2
"""Streams of random numbers under one seed."""


@dataclass(frozen=True)
class PairSet:
    """Pairs for one purpose: training or validation.

    Attributes:
        folder: that holds the files.
        names: of the files, relative to the folder, in byte order.
        shape: height and width to which each half is scaled, pixels.
        parameters: of the training.
        cached: the pixels of each pair; empty if they do not fit into memory.
    """

    folder: Path
    names: tuple[str, ...]
    shape: tuple[int, int]
    parameters: TrainParameters
    cached: tuple[Pixels, ...] = ()

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.names)

    def pixels(self, index: int) -> Pixels:
        """Return one pair: uint8 ``[H, W, 6]``, input and target stacked; ``[H, W, 3]`` for colorization.

        Raises:
            WorkError: the file is read again and can no longer be used.
        """
        if self.cached:
            return self.cached[index]
        path = self.folder / self.names[index]
        try:
            return stack_parts(decode_parts(read_file(path), self.parameters), self.shape, self.parameters)
        except PictureError as error:
            raise WorkError(f"{path} changed during the training: {error}; start again") from error

    def stack(self, indices: Sequence[int]) -> Pixels:
        """Return several pairs as one array, uint8 ``[N, H, W, C]``."""
        return np.stack([self.pixels(index) for index in indices])


@dataclass(frozen=True)
class Dataset:
    """A folder of pairs, read and split.

    Attributes:
        training: the pairs to learn from, scaled for cropping.
        held_out: the pairs to measure on, at the networks' size; may be empty.
        rejected: the files that were left out.
        digest: of the names and contents of all pairs that are used.
        notes: remarks for the user, e.g. that no pair was held out.
        look: statistics of the inputs (the A half, or B with ``direction = "BtoA"``) that are learnt from.
        copies: number of pairs that nearly equal another one, and are on its side.
    """

    training: PairSet
    held_out: PairSet
    rejected: tuple[Rejection, ...]
    digest: str
    notes: tuple[str, ...]
    look: InputLook
    copies: int = 0


def batch(pairs: PairSet, parameters: TrainParameters, step: int) -> Batch:
    """Return the pairs of one step.

    Args:
        pairs: to deal from; every pair once an epoch, in a new order each epoch.
        parameters: seed, batch size, crop and flip.
        step: counted from 0.

    Returns:
        pairs, uint8 ``[N, size, width, 6]`` (3 for colorization), and the seeds of each pair's dropout, int32
        ``[N, 2]``.
    """
    positions = range(step * parameters.batch_size, (step + 1) * parameters.batch_size)
    crop = functools.partial(_crop, pairs, parameters)
    pictures = [crop(position) for position in positions] if pairs.cached else in_threads(crop, positions)
    seeds = [(parameters.seed, position % 2**31) for position in positions]
    return np.stack(pictures), np.array(seeds, np.int32)


def batches(pairs: PairSet, parameters: TrainParameters, start: int) -> Generator[Batch, None, None]:
    """Return the batches of the steps from `start` on, without end, prepared one step ahead of the caller."""
    with ThreadPoolExecutor(1, "batches") as ahead:
        step = start
        following = ahead.submit(batch, pairs, parameters, step)
        while True:
            ready, step = following, step + 1
            following = ahead.submit(batch, pairs, parameters, step)
            yield ready.result()


@functools.lru_cache(maxsize=4)
def _order(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, _ORDER, epoch]).permutation(count)


def _crop(pairs: PairSet, parameters: TrainParameters, position: int) -> Pixels:
    """Return the pair at a position of the endless sequence of epochs, cropped and flipped."""
    epoch, index = divmod(position, len(pairs))
    pixels = pairs.pixels(int(_order(len(pairs), parameters.seed, epoch)[index]))
    height, width = parameters.shape
    rng = np.random.default_rng([parameters.seed, _CROP, position])
    top = int(rng.integers(0, pixels.shape[0] - height, endpoint=True))
    left = int(rng.integers(0, pixels.shape[1] - width, endpoint=True))
    pixels = pixels[top : top + height, left : left + width]
    return pixels[:, ::-1] if parameters.flip and rng.integers(2) else pixels
