"""The check of the pairs before a training: bounded in cost, and summarized for its report."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pix2pix.datasets.checks.pair_check import PairCheck, check_pairs
from pix2pix.datasets.checks.pair_faults import ASPECT, REMEDIES, PairFault
from pix2pix.datasets.checks.thumbnails import PicturedFault, picture_faults

logger = logging.getLogger(__name__)

MOST_PAIRS = 400
"""Pairs that are checked at most, spread evenly over the folder: 10 s of processor time at 256 x 256 pixels
(`benchmarks/pairs.py`)."""

MOST_LISTED = 100
"""Findings that are kept, the worst first; the counts cover all."""

MOST_PICTURED = 12
"""Findings with thumbnails, about 30 kB each."""


@dataclass(frozen=True)
class TrainingCheck:
    """What the check before a training found.

    Attributes:
        pairs: how many pairs were checked.
        of: how many there are.
        counts: code -> number of findings.
        worst: at most `MOST_LISTED` findings, worst first.
        pictured: the first `MOST_PICTURED` of them, with thumbnails.
        note: a sentence for people; None if nothing was found.
    """

    pairs: int
    of: int
    counts: Mapping[str, int]
    worst: tuple[PairFault, ...]
    pictured: tuple[PicturedFault, ...]
    note: str | None


def check_before_training(folder: Path, model: tuple[int, int]) -> TrainingCheck:
    """Check a part of the pairs of a training, log a warning about faults, and change nothing.

    Args:
        folder: of A|B pairs; files that cannot be used are not reported, since the training rejects them.
        model: height and width of the model's pictures.
    """
    checked = check_pairs(folder, model=model, most=MOST_PAIRS)
    faults = tuple(fault for fault in checked.findings if fault.code in REMEDIES)
    counts = dict(Counter(fault.code for fault in faults).most_common())
    note = _note(checked, [fault for fault in faults if fault.code != ASPECT])
    if note:
        logger.warning("%s", note)
    return TrainingCheck(
        pairs=checked.pairs,
        of=checked.of,
        counts=counts,
        worst=faults[:MOST_LISTED],
        pictured=picture_faults(folder, faults[:MOST_PICTURED], MOST_PICTURED),
        note=note,
    )


def _note(checked: PairCheck, faults: Sequence[PairFault]) -> str | None:
    """Summarize faults except of the aspect ratio, which `pix2pix.datasets.pair_notes` reports over all pairs."""
    if not faults:
        return None
    part = "" if checked.of <= MOST_PAIRS else f" (a sample of {checked.of} files)"
    listed = ", ".join(f"{count} {code}" for code, count in Counter(fault.code for fault in faults).most_common())
    worst = faults[0]
    return (
        f"{checked.pairs} pairs were checked{part}; probable faults: {listed}. The worst, {worst.path}:"
        f" {worst.what}; {worst.remedy}. `pix2pix check` lists all"
    )
