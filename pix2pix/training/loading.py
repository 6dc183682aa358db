"""Reads a folder of pairs and splits it by content into training and held-out pairs."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pix2pix.datasets.groups import Grouping, GroupMember, group, member
from pix2pix.datasets.held_out import is_held_out
from pix2pix.datasets.pair_notes import MAX_DISTORTION, distortion, warnings_about
from pix2pix.datasets.pairs import survey
from pix2pix.errors import InputError, PictureError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels, Rejection, decode
from pix2pix.images.header import read_file
from pix2pix.images.thread_map import in_threads
from pix2pix.memory import free_megabytes
from pix2pix.model.look import InputLook, measure_look, summarize
from pix2pix.progress import Progress, silent
from pix2pix.training.dataset import Dataset, PairSet
from pix2pix.training.pair_pixels import decode_parts, stack_parts

logger = logging.getLogger(__name__)

LOOKED_AT = 500
"""Training pairs whose inputs are measured for `Dataset.look`, evenly distributed over the names."""


@dataclass(frozen=True)
class _LoadedPair:
    """A pair that was read.

    Attributes:
        member: what decides its side, with the SHA-256 of the file's content.
        held_out: whether it is measured on instead of trained on.
        size: height and width of its first half, pixels.
        pixels: of the pair; None if pairs are not cached.
    """

    member: GroupMember
    held_out: bool
    size: tuple[int, int]
    pixels: Pixels | None


def load(folder: Path, parameters: TrainParameters, progress: Progress = silent) -> Dataset:
    """Read a folder of A|B pairs (of single pictures for colorization).

    Raises:
        InputError: the folder is missing or holds no usable picture; the message names the first reason.
    """
    listing = survey(folder).required()
    names = listing.pictures
    cached = _fits_into_memory(len(names), parameters)

    def read(name: str) -> _LoadedPair | Rejection:
        return _read(folder, name, parameters, cached)

    results = dict(zip(names, in_threads(read, names, None, progress), strict=True))
    rejected = [result for result in results.values() if isinstance(result, Rejection)]
    pairs = {name: result for name, result in results.items() if isinstance(result, _LoadedPair)}
    grouping = _group(folder, pairs)
    pairs |= _regrouped(folder, pairs, grouping, parameters)
    if not pairs:
        reason = f"the first: {rejected[0].path}: {rejected[0].reason} ({rejected[0].code})"
        raise InputError(f"none of the {len(names)} pictures in {folder} is a usable pair; {reason}")
    left_out = (*rejected, *listing.left_out)
    if all(pair.held_out for pair in pairs.values()):
        all_of_them = load(folder, dataclasses.replace(parameters, held_out=0.0, keep_best="last"), progress)
        note = f"all {len(pairs)} pairs fell to the held-out side; they are trained on, and nothing is measured"
        return dataclasses.replace(all_of_them, rejected=left_out, notes=(note, *all_of_them.notes))
    return Dataset(
        training=_side(folder, pairs, parameters, held_out=False),
        held_out=_side(folder, pairs, parameters, held_out=True),
        rejected=left_out,
        digest=_digest(pairs),
        look=_look(folder, [name for name, pair in pairs.items() if not pair.held_out], parameters),
        notes=tuple(_notes(pairs, grouping, parameters)),
        copies=grouping.copies,
    )


def _look(folder: Path, names: Sequence[str], parameters: TrainParameters) -> InputLook:
    """Measure the inputs of training pairs at the size that the model takes, without the scaling for crops."""

    def measured(name: str) -> NDArray[np.float64]:
        parts = decode_parts(read_file(folder / name), parameters)
        return measure_look(stack_parts(parts, parameters.shape, parameters)[..., :3], parameters.input_channels)

    return summarize(in_threads(measured, names[:: -(-len(names) // LOOKED_AT)]))


def _fits_into_memory(count: int, parameters: TrainParameters) -> bool:
    """Return whether so many pairs can be kept decoded; warn if not."""
    height, width = parameters.load_shape
    channels = 3 if parameters.lab_colorization else 6
    budget = parameters.cache_megabytes or free_megabytes() // 2
    fits = count * channels * height * width <= budget << 20
    if not fits:
        logger.warning("%d pairs do not fit into %d MB of memory; they are read from disk each time", count, budget)
    return fits


def _read(folder: Path, name: str, parameters: TrainParameters, cached: bool) -> _LoadedPair | Rejection:
    try:
        data = read_file(folder / name)
        digest = hashlib.sha256(data).hexdigest()
        held_out = is_held_out(digest, parameters.held_out)
        parts = decode_parts(data, parameters)
        pixels = stack_parts(parts, _shape(parameters, held_out), parameters)
    except PictureError as error:
        return Rejection(name, error.code, error.reason)
    whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    size = parts[0].shape[0], parts[0].shape[1]
    return _LoadedPair(
        member(digest, whole.shape[0] * whole.shape[1], whole), held_out, size, pixels if cached else None
    )


def _group(folder: Path, pairs: Mapping[str, _LoadedPair]) -> Grouping:
    names = list(pairs)
    return group([pair.member for pair in pairs.values()], lambda index: decode(folder / names[index]))


def _regrouped(
    folder: Path, pairs: Mapping[str, _LoadedPair], grouping: Grouping, parameters: TrainParameters
) -> dict[str, _LoadedPair]:
    """Return the pairs that are not on the side that their group decides, moved to it."""
    moved = {}
    for (name, pair), digest in zip(pairs.items(), grouping.deciding, strict=True):
        held_out = is_held_out(digest, parameters.held_out)
        if held_out != pair.held_out:
            side = PairSet(folder, (name,), _shape(parameters, held_out), parameters)
            pixels = None if pair.pixels is None else side.pixels(0)
            moved[name] = dataclasses.replace(pair, held_out=held_out, pixels=pixels)
    return moved


def _shape(parameters: TrainParameters, held_out: bool) -> tuple[int, int]:
    """Return the size to which pairs are scaled; only training pairs are cropped afterwards."""
    return parameters.shape if held_out else parameters.load_shape


def _side(folder: Path, pairs: Mapping[str, _LoadedPair], parameters: TrainParameters, *, held_out: bool) -> PairSet:
    """Return the pairs of one side."""
    chosen = {name: pair for name, pair in pairs.items() if pair.held_out == held_out}
    cached = tuple(pair.pixels for pair in chosen.values() if pair.pixels is not None)
    return PairSet(folder, tuple(chosen), _shape(parameters, held_out), parameters, cached)


def _digest(pairs: Mapping[str, _LoadedPair]) -> str:
    """Return a digest of the names and contents of pairs."""
    lines = "".join(f"{name}\0{pair.member.digest}\n" for name, pair in pairs.items())
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def _notes(pairs: Mapping[str, _LoadedPair], grouping: Grouping, parameters: TrainParameters) -> list[str]:
    """Return remarks on the split, the pairs and the parameters; all but the first are logged, too."""
    notes = []
    if parameters.held_out and not any(pair.held_out for pair in pairs.values()):
        notes.append(
            f"none of the {len(pairs)} pairs fell to the held-out side (held_out = {parameters.held_out}); nothing is"
            " measured. Add pairs, or raise held_out"
        )
    if parameters.held_out and grouping.too_alike:
        notes.append(
            f"{grouping.too_alike} of {len(pairs)} pairs nearly equal each other; they are split one by one, and the"
            " quality that is measured on the held-out ones is too good"
        )
    far = {name: pair.size for name, pair in pairs.items() if distortion(pair.size, parameters.shape) > MAX_DISTORTION}
    for warning in warnings_about(far, len(pairs), parameters):
        logger.warning("%s", warning)
        notes.append(warning)
    return notes
