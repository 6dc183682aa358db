"""Checks a folder of A|B pairs for faults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pix2pix.datasets.checks.pair_faults import PairFault, find_faults
from pix2pix.datasets.checks.pair_statistics import PairStatistics, measure_pair
from pix2pix.datasets.pairs import read_pair, survey
from pix2pix.datasets.split import SIDES
from pix2pix.errors import PictureError
from pix2pix.images.rejections import Rejection
from pix2pix.images.thread_map import in_threads
from pix2pix.progress import Progress, silent


@dataclass(frozen=True)
class PairCheck:
    """What a check found.

    Attributes:
        pairs: how many pairs were checked.
        of: how many pictures the folder has.
        findings: worst first; files that cannot be used come before all others.
        left_out: other files of the folder.
    """

    pairs: int
    of: int
    findings: tuple[PairFault, ...]
    left_out: tuple[Rejection, ...]


def check_pairs(
    folder: Path,
    *,
    model: tuple[int, int] = (256, 256),
    most: int | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> PairCheck:
    """Check the pairs of a folder; nothing is written.

    Args:
        folder: of A|B pairs, however deep. Where it holds ``train/``, ``val/`` or ``test/``, as `pix2pix split` makes
            them, they are the sides of the split.
        model: height and width of the model's pictures.
        most: number of pairs to check at most, spread evenly over the folder; None checks all.
        workers: threads; None means one per core.
        progress: called after each pair.

    Raises:
        InputError: the folder is missing, unreadable or without pictures.
    """
    listing = survey(folder).required()
    names = listing.pictures

    def measure(path: str) -> PairStatistics | PairFault:
        try:
            return measure_pair(path, *read_pair(folder / path))
        except PictureError as error:
            return PairFault(path, error.code, error.reason, "replace or remove the file", 1.0)

    count = len(names) if most is None else min(most, len(names))
    results = in_threads(measure, [names[n * len(names) // count] for n in range(count)], workers, progress)
    pairs = [result for result in results if isinstance(result, PairStatistics)]
    unusable = [result for result in results if isinstance(result, PairFault)]
    is_split = not {path.partition("/")[0] for path in names if "/" in path}.isdisjoint(SIDES)
    sides = [pair.path.partition("/")[0] if is_split else "" for pair in pairs]
    return PairCheck(len(pairs), len(names), (*unusable, *find_faults(pairs, sides, model)), listing.left_out)
