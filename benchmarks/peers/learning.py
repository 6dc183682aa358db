"""What the contenders of `quality.py` share: their arguments, the batches, and the count of processor time."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Lesson:
    """One training and what is asked of it.

    Attributes:
        train: pairs for cropping, uint8 ``[N, L, L, 6]``.
        test: held-out pairs, uint8 ``[M, S, S, 6]``.
        seed: of everything random.
        filters: of the networks' first layers.
        changes: hyperparameters of ours.
    """

    train: np.ndarray
    test: np.ndarray
    seed: int
    filters: int
    changes: dict[str, Any]

    @property
    def size(self) -> int:
        """Height and width of what the networks see, pixels."""
        return int(self.test.shape[1])

    def batch(self, step: int) -> np.ndarray:
        """Return one pair, cropped and mirrored at random, ``[1, S, S, 6]``; every pair once an epoch."""
        epoch, index = divmod(step, len(self.train))
        order = np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.train))
        draw = np.random.default_rng([self.seed, 2, step])
        top, left = draw.integers(0, self.train.shape[1] - self.size, 2, endpoint=True)
        crop = self.train[order[index], top : top + self.size, left : left + self.size]
        return crop[np.newaxis, :, ::-1] if draw.integers(2) else crop[np.newaxis]


Step = Callable[[int, float], object]
"""Learns from one batch: takes the number of the step, counted from 0, and the share of the training that is done."""
Translate = Callable[[np.ndarray], np.ndarray]
"""Translates uint8 ``[N, S, S, 3]``."""


def main(prepare: Callable[[Lesson], tuple[Step, Translate]]) -> None:
    """Train for the processor time that the command line gives, and write the outputs for the held-out pairs.

    What the first step takes, which compiles, is not counted.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="of processor time, over all threads")
    parser.add_argument("--steps", type=int, default=0, help="ends the training, too; 0: no limit")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--changes", type=json.loads, default={})
    options = parser.parse_args()
    with np.load(options.data) as data:
        lesson = Lesson(data["train"], data["test"], options.seed, options.filters, options.changes)
    step, translate = prepare(lesson)
    step(0, 0.0)  # compiles
    start, number, seconds = time.process_time(), 1, 0.0
    while seconds < options.seconds and number != options.steps:
        step(number, seconds / options.seconds)
        number += 1
        seconds = time.process_time() - start
    inputs = lesson.test[..., :3]
    outputs = [translate(inputs[first : first + 1]) for first in range(len(inputs))]
    np.savez_compressed(options.out, outputs=np.concatenate(outputs), seconds=seconds, steps=number)
