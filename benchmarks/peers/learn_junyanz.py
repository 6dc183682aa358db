"""The networks and the schedule of junyanz' pytorch-CycleGAN-and-pix2pix in `quality.py`, by its documented defaults.

Batch norm, dropout and the batch's statistics at test time, too; the rate is constant for half of the steps, then falls
to 0.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from torch import nn

from peers.learning import Lesson, Step, Translate, main
from peers.torch_eager import Generator, discriminator, training_step


def prepare(lesson: Lesson) -> tuple[Step, Translate]:
    """Return the step and the translation."""
    torch.manual_seed(lesson.seed)
    depth = lesson.size.bit_length() - 1
    g, d = Generator(lesson.size, lesson.filters, range(1, depth - 4)), discriminator(lesson.filters)
    for module in [*g.modules(), *d.modules()]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    optimizers = [torch.optim.Adam(n.parameters(), 2e-4, (0.5, 0.999)) for n in (g, d)]
    learn = training_step(g, d, optimizers, halved=0.5)

    def step(number: int, done: float) -> object:
        for optimizer in optimizers:
            optimizer.param_groups[0]["lr"] = 2e-4 * min(1.0, 2 - 2 * done)
        pair = _to_torch(lesson.batch(number))
        return learn(pair[:, :3], pair[:, 3:])

    def translate(pictures: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            output = g(_to_torch(pictures)).numpy().transpose(0, 2, 3, 1)
        return np.clip(np.round((output + 1) * 127.5), 0, 255).astype(np.uint8)

    return step, translate


def _to_torch(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2), np.float32) / 127.5 - 1)


main(prepare)
