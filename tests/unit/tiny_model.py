"""Pairs, checkpoints and parameters as small as the model allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pix2pix.hyperparameters import TrainParameters, resolve

TINY = {"size": 32, "scale_size": 32, "ngf": 4, "ndf": 4, "discriminator_layers": 2, "batch_size": 2, "flip": False}


def tiny(**changes: Any) -> TrainParameters:
    return resolve("train", TINY, changes)


def write_pairs(folder: Path, count: int, size: int = 32, seed: int = 0, halves: int = 2) -> Path:
    """Write pairs: coloured rectangles, and to their right the same in other colours."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    for number in range(count):
        a = np.full((size, size, 3), draw.integers(0, 255, 3), np.uint8)
        for _ in range(4):
            top, left = draw.integers(0, size - 4, 2)
            a[top : top + size // 3, left : left + size // 2] = draw.integers(0, 255, 3)
        b = 255 - a[..., ::-1] // 2
        Image.fromarray(np.concatenate([a, b][:halves], axis=1)).save(folder / f"{number:03d}.png")
    return folder


def write_checkpoint(folder: Path, parameters: TrainParameters, seed: int = 1) -> Path:
    """Write the checkpoint of an untrained generator."""
    from pix2pix.model.networks import Generator
    from pix2pix.training import checkpoints

    weights = {name: v.numpy() * 5 for name, v in Generator(parameters, seed).weights.items()}
    checkpoints.write(folder, checkpoints.Checkpoint(0, parameters, {"generator": weights}, {"l1": 0.5}))
    return folder
