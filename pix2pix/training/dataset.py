"""The pairs of a training: read once, split by content, kept as 8-bit pixels, dealt out in a resumable order.

It exists so that which pairs a step sees, how they are cropped and whether they are mirrored is a function of the seed
and the step's number alone: a training that was interrupted goes on with exactly what it would have seen.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pix2pix.datasets.pairs import halves, survey
from pix2pix.errors import InputError, PictureError, WorkError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels, Rejection, decode_bytes
from pix2pix.images.header import read_file
from pix2pix.images.thread_map import in_threads
from pix2pix.progress import Progress, silent
from pix2pix.training.memory import free_megabytes

logger = logging.getLogger(__name__)

Batch = tuple[Pixels, NDArray[np.int32]]
"""Stacked pairs, uint8 ``[N, H, W, C]``, and seeds for each pair's dropout, int32 ``[N, 2]``."""

MAX_DISTORTION = 1.9
"""Width / height of a half over the model's, or the inverse, above which a person is told."""

_ORDER, _CROP = 1, 2
"""Streams of random numbers under one seed."""


@dataclass(frozen=True)
class PairSet:
    """Pairs that are used alike.

    Attributes:
        folder: where they lie.
        names: of the files, relative to it, in byte order.
        shape: height and width to which each half is scaled, pixels.
        parameters: of the training.
        kept: the pixels of each, or nothing where memory does not allow it.
    """

    folder: Path
    names: tuple[str, ...]
    shape: tuple[int, int]
    parameters: TrainParameters
    kept: tuple[Pixels, ...] = ()

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.names)

    def pixels(self, index: int) -> Pixels:
        """One pair: uint8 ``[H, W, 6]``, input and target stacked; ``[H, W, 3]`` for colorization."""
        if self.kept:
            return self.kept[index]
        path = self.folder / self.names[index]
        try:
            return _stacked(_parts(read_file(path), self.parameters), self.shape, self.parameters)
        except PictureError as error:
            raise WorkError(f"{path} changed while it was trained on: {error}; start again") from error

    def stack(self, indices: Sequence[int]) -> Pixels:
        """Several pairs as one array."""
        return np.stack([self.pixels(index) for index in indices])


@dataclass(frozen=True)
class Dataset:
    """What a folder of pairs became.

    Attributes:
        training: the pairs to learn from, scaled for cropping.
        held_out: the pairs to measure on, at the networks' size; may be empty.
        rejected: the files that were left out.
        digest: of the names and contents of all pairs that are used.
        notes: what a person should know about the split.
    """

    training: PairSet
    held_out: PairSet
    rejected: tuple[Rejection, ...]
    digest: str
    notes: tuple[str, ...]


def load(folder: Path, parameters: TrainParameters, progress: Progress = silent) -> Dataset:
    """Read a folder of A|B pairs (of single pictures for colorization).

    Raises:
        InputError: no folder, no pictures, or none that can be used; the text names the first reason.
    """
    listing = survey(folder).required()
    names = listing.pictures
    shapes = {False: parameters.load_shape, True: parameters.shape}
    layers = 3 if parameters.lab_colorization else 6
    budget = parameters.cache_megabytes or free_megabytes() // 2
    keep = len(names) * layers * shapes[False][0] * shapes[False][1] <= budget << 20
    if not keep:
        logger.warning(
            "%d pairs do not fit into %d MB of memory; they are read from disk each time", len(names), budget
        )

    narrow: dict[str, tuple[int, int]] = {}

    def read(name: str) -> tuple[str, bool, Pixels | None] | Rejection:
        try:
            data = read_file(folder / name)
            digest = hashlib.sha256(data).hexdigest()
            side = _is_held_out(digest, parameters.held_out)
            parts = _parts(data, parameters)
            if _is_far(parts[0].shape, parameters.shape):
                narrow[name] = parts[0].shape[:2]
            pixels = _stacked(parts, shapes[side], parameters)
        except PictureError as error:
            return Rejection(name, error.code, error.reason)
        return digest, side, pixels if keep else None

    results = dict(zip(names, in_threads(read, names, None, progress), strict=True))
    unusable = tuple(result for result in results.values() if isinstance(result, Rejection))
    rejected = (*unusable, *listing.left_out)
    good = {name: result for name, result in results.items() if not isinstance(result, Rejection)}
    if not good:
        raise InputError(f"none of the {len(names)} pictures in {folder} is a usable pair; {_first(unusable)}")
    sides = {side: [name for name in good if good[name][1] == side] for side in (False, True)}
    if not sides[False]:
        everything = load(folder, _without_held_out(parameters), progress)
        note = f"all of the {len(good)} pairs fell to the held-out side; they are trained on, and nothing is measured"
        return Dataset(everything.training, everything.held_out, rejected, everything.digest, (note,))
    notes = () if sides[True] or not parameters.held_out else (_none_held_out(len(good), parameters),)
    if narrow:
        note = _far_from_the_model(narrow, len(good), parameters)
        logger.warning("%s", note)
        notes = (*notes, note)
    sets = {
        side: PairSet(folder, tuple(sides[side]), shapes[side], parameters, _kept([good[n][2] for n in sides[side]]))
        for side in sides
    }
    digest = hashlib.sha256("".join(f"{name}\0{good[name][0]}\n" for name in good).encode("utf-8", "surrogateescape"))
    return Dataset(sets[False], sets[True], rejected, digest.hexdigest(), notes)


def batch(pairs: PairSet, parameters: TrainParameters, step: int) -> Batch:
    """Deal the pairs of one step.

    Args:
        pairs: to deal from; every pair once an epoch, in an order of its own for each epoch.
        parameters: seed, batch size, crop and flip.
        step: from 0.

    Returns:
        uint8 ``[N, size, width, 6]`` (3 for colorization), and int32 ``[N, 2]``: seeds for each picture's dropout.
    """
    positions = range(step * parameters.batch_size, (step + 1) * parameters.batch_size)
    crop = functools.partial(_crop, pairs, parameters)
    pictures = [crop(position) for position in positions] if pairs.kept else in_threads(crop, positions)
    seeds = [(parameters.seed, position % 2**31) for position in positions]
    return np.stack(pictures), np.array(seeds, np.int32)


def batches(pairs: PairSet, parameters: TrainParameters, start: int) -> Generator[Batch, None, None]:
    """Deal step after step from `start` on, without end, one step ahead of the caller."""
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
    epoch, place = divmod(position, len(pairs))
    pixels = pairs.pixels(int(_order(len(pairs), parameters.seed, epoch)[place]))
    height, width = parameters.shape
    draw = np.random.default_rng([parameters.seed, _CROP, position])
    top = int(draw.integers(0, pixels.shape[0] - height, endpoint=True))
    left = int(draw.integers(0, pixels.shape[1] - width, endpoint=True))
    pixels = pixels[top : top + height, left : left + width]
    return pixels[:, ::-1] if parameters.flip and draw.integers(2) else pixels


def _parts(data: bytes, parameters: TrainParameters) -> tuple[Pixels, ...]:
    """Decode a pair into its halves; a single picture for colorization."""
    pixels = decode_bytes(data)
    return (pixels,) if parameters.lab_colorization else halves(pixels)


def _is_far(shape: tuple[int, ...], wanted: tuple[int, int]) -> bool:
    """Whether scaling would distort a picture so much that it is hardly meant to be scaled."""
    factor = (shape[1] / shape[0]) / (wanted[1] / wanted[0])
    return max(factor, 1 / factor) > MAX_DISTORTION


def _far_from_the_model(narrow: dict[str, tuple[int, int]], count: int, parameters: TrainParameters) -> str:
    name = min(narrow)
    (height, width), (rows, columns) = narrow[name], parameters.shape
    kind = "pictures" if parameters.lab_colorization else "halves"
    cause = (
        "A|B pairs are no pictures to colorize"
        if parameters.lab_colorization
        else "square pictures, for example, are no A|B pairs; `pix2pix pairs` makes some"
    )
    return (
        f"{len(narrow)} of {count} files have {kind} far from the model's {columns}x{rows}; the first,"
        f" {name}: {width}x{height}. They are distorted to fit: {cause}"
    )


def _stacked(parts: tuple[Pixels, ...], shape: tuple[int, int], parameters: TrainParameters) -> Pixels:
    """Scale the halves of one pair and stack them."""
    if parameters.lab_colorization:
        return _scale(parts[0], shape, Image.Resampling.BICUBIC)
    ways = [Image.Resampling.NEAREST if parameters.labels else Image.Resampling.BICUBIC, Image.Resampling.BICUBIC]
    scaled = [_scale(half, shape, way) for half, way in zip(parts, ways, strict=True)]
    return np.concatenate(scaled if parameters.direction == "AtoB" else scaled[::-1], axis=-1)


def _scale(pixels: Pixels, shape: tuple[int, int], way: Any) -> Pixels:
    if pixels.shape[:2] == shape:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), way))


def _is_held_out(digest: str, share: float) -> bool:
    # Hashed once more: `pix2pix split` uses the content's hash, and a part that it made would lie all on one side.
    number = int.from_bytes(hashlib.sha256(f"held out {digest}".encode()).digest()[:8], "big")
    return number < share * 2**64


def _kept(pixels: list[Pixels | None]) -> tuple[Pixels, ...]:
    return tuple(p for p in pixels if p is not None)


def _without_held_out(parameters: TrainParameters) -> TrainParameters:
    import dataclasses

    return dataclasses.replace(parameters, held_out=0.0, keep_best="last")


def _none_held_out(count: int, parameters: TrainParameters) -> str:
    return (
        f"none of the {count} pairs fell to the held-out side (held_out = {parameters.held_out}); nothing is measured."
        " Add pairs, or raise held_out"
    )


def _first(rejected: tuple[Rejection, ...]) -> str:
    return f"the first: {rejected[0].path}: {rejected[0].reason} ({rejected[0].code})"
