"""Measures a generator on held-out pairs and shows its outputs, during training."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels
from pix2pix.model.metrics import NAMES, measure
from pix2pix.model.networks import Generator
from pix2pix.model.translation import target_picture, translate
from pix2pix.training.dataset import PairSet

BATCH = 8
"""Pairs that are measured at once."""


class Validator:
    """A generator without dropout, compiled together with the metrics."""

    def __init__(self, generator: Generator, parameters: TrainParameters) -> None:
        self._channels = 3 if parameters.lab_colorization else 6
        height, width = parameters.shape
        signature = [tf.TensorSpec([None, height, width, self._channels], tf.uint8)]

        @tf.function(input_signature=signature)
        def run(pictures: Any) -> Any:
            output = translate(generator, parameters, pictures[..., :3])
            target = target_picture(parameters, pictures)
            return output, target, measure(target, output)

        self._run = run

    def measure(self, pairs: PairSet) -> dict[str, float]:
        """Return mean L1, PSNR and SSIM over pairs (see `pix2pix.model.metrics`); empty for no pairs."""
        if not len(pairs):
            return {}
        values_of: dict[str, list[Any]] = {name: [] for name in NAMES}
        for first in range(0, len(pairs), BATCH):
            _, _, found = self._run(tf.constant(pairs.stack(range(first, min(first + BATCH, len(pairs))))))
            for name, values in found.items():
                values_of[name].extend(values.numpy())
        return {name: float(np.mean(values)) for name, values in values_of.items()}

    def show(self, pictures: Pixels) -> tuple[Pixels, Pixels]:
        """Return outputs and targets of stacked pairs, uint8 ``[N, H, W, 1 or 3]`` each."""
        output, target, _ = self._run(tf.constant(pictures))
        return output.numpy(), target.numpy()
