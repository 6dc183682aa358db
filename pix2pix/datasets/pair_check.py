"""Checks a folder of A|B pairs for faults."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import cv2

from pix2pix.datasets.held_out import is_held_out
from pix2pix.datasets.pair_faults import PairFault, find_faults
from pix2pix.datasets.pair_statistics import PairStatistics, measure_pair
from pix2pix.datasets.pairs import halves, survey
from pix2pix.datasets.split import SIDES
from pix2pix.errors import PictureError
from pix2pix.images.codec import Pixels, decode, decode_bytes
from pix2pix.images.header import read_file
from pix2pix.images.rejections import Rejection
from pix2pix.images.thread_map import in_threads
from pix2pix.progress import Progress, silent


@dataclass(frozen=True)
class PairCheck:
    """What a check found.

    Attributes:
        pairs: how many pairs were checked.
        findings: worst first; files that cannot be used come before all others.
        left_out: other files of the folder.
    """

    pairs: int
    findings: tuple[PairFault, ...]
    left_out: tuple[Rejection, ...]


def check_pairs(
    folder: Path,
    *,
    held_out: float = 0.2,
    model: tuple[int, int] = (256, 256),
    workers: int | None = None,
    progress: Progress = silent,
) -> PairCheck:
    """Check every pair of a folder; nothing is written.

    Args:
        folder: of A|B pairs, however deep. Where it holds ``train/``, ``val/`` or ``test/``, as `pix2pix split` makes
            them, they are the sides of the split; else a training's `held_out` decides.
        held_out: share that the training holds out, 0 to 1.
        model: height and width of the model's pictures.
        workers: threads; None means one per core.
        progress: called after each pair.

    Raises:
        InputError: the folder is missing, unreadable or without pictures.
    """
    listing = survey(folder).required()

    def measure(path: str) -> PairStatistics | PairFault:
        try:
            data = read_file(folder / path)
            return measure_pair(path, hashlib.sha256(data).hexdigest(), *halves(decode_bytes(data)))
        except PictureError as error:
            return PairFault(path, error.code, error.reason, "replace or remove the file", 1.0)

    results = in_threads(measure, listing.pictures, workers, progress)
    pairs = [result for result in results if isinstance(result, PairStatistics)]
    unusable = [result for result in results if isinstance(result, PairFault)]
    folders = {path.partition("/")[0] for path in listing.pictures if "/" in path}
    is_split = not folders.isdisjoint(SIDES)
    sides = [
        pair.path.partition("/")[0] if is_split else ("held-out" if is_held_out(pair.digest, held_out) else "train")
        for pair in pairs
    ]
    return PairCheck(len(pairs), (*unusable, *find_faults(pairs, sides, model)), listing.left_out)


def thumbnail(path: Path, height: int = 96) -> Pixels | None:
    """Scale a picture down to a height in pixels; None where it cannot be decoded."""
    try:
        pixels = decode(path)
    except PictureError:
        return None
    width = max(1, round(pixels.shape[1] * height / pixels.shape[0]))
    return cv2.resize(pixels, (min(width, 8 * height), height), interpolation=cv2.INTER_AREA)
