"""Measures what the check before a training and the grouping of near-duplicates cost.

python -m benchmarks.pairs
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pix2pix.datasets.checks.training_check import MOST_PAIRS, check_before_training
from pix2pix.datasets.near_duplicates import near_copies
from pix2pix.facades.generator import facade
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import encode_png
from pix2pix.training.loading import load

SIDE, HASHES = 256, 10_000


@dataclass(frozen=True)
class PairCosts:
    """Processor time, seconds.

    Attributes:
        check: of the check of `MOST_PAIRS` facade pairs of `SIDE` x `SIDE` pixels.
        loading: of loading them for a training, with the grouping.
        comparing: of comparing `HASHES` perceptual hashes with each other.
    """

    check: float
    loading: float
    comparing: float


def measure_pair_costs(pairs: int = MOST_PAIRS) -> PairCosts:
    """Measure each once."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(pairs):
            encode_png(np.concatenate(facade(SIDE, 1, number), axis=1), folder / f"{number}.png")
        check = _seconds(lambda: check_before_training(folder, (SIDE, SIDE)))
        loading = _seconds(lambda: load(folder, TrainParameters()))
    hashes = np.random.default_rng(0).integers(0, 2**64, (HASHES, 4), dtype=np.uint64)
    none = np.zeros((0, 1), np.float32)
    return PairCosts(check, loading, _seconds(lambda: list(near_copies(hashes, lambda _: (none, none)))))


def _seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    costs = measure_pair_costs()
    print(f"processor time, {MOST_PAIRS} pairs of {SIDE}x{SIDE}")
    print(f"  check before a training   {costs.check:6.2f} s, {1000 * costs.check / MOST_PAIRS:.1f} ms a pair")
    print(f"  loading with grouping     {costs.loading:6.2f} s, {1000 * costs.loading / MOST_PAIRS:.1f} ms a pair")
    print(f"  comparing {HASHES:,} hashes   {costs.comparing:6.2f} s")
