"""Looks at the generator from outside while it trains: figures on held-out pairs, outputs for the samples.

It exists apart from the training step because it runs without dropout, gradients or the discriminator.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels
from pix2pix.model.metrics import NAMES, measure
from pix2pix.model.networks import Generator
from pix2pix.model.translation import target_picture, translate
from pix2pix.tensorflow import tf
from pix2pix.training.dataset import PairSet

BATCH = 8
"""Pairs at once."""


class Validation:
    """The compiled view of one generator."""

    def __init__(self, generator: Generator, parameters: TrainParameters) -> None:
        self._channels = 3 if parameters.lab_colorization else 6
        height, width = parameters.shape
        signature = [tf.TensorSpec([None, height, width, self._channels], tf.uint8)]

        @tf.function(input_signature=signature)
        def look(pictures: Any) -> Any:
            output = translate(generator, parameters, pictures[..., :3])
            target = target_picture(parameters, pictures)
            return output, target, measure(target, output)

        self._look = look

    def measure(self, pairs: PairSet) -> dict[str, float]:
        """Mean L1, PSNR and SSIM over pairs (see `pix2pix.model.metrics`); empty for no pairs."""
        if not len(pairs):
            return {}
        figures: dict[str, list[Any]] = {name: [] for name in NAMES}
        for first in range(0, len(pairs), BATCH):
            _, _, found = self._look(tf.constant(pairs.stack(range(first, min(first + BATCH, len(pairs))))))
            for name, values in found.items():
                figures[name].extend(values.numpy())
        return {name: float(np.mean(values)) for name, values in figures.items()}

    def show(self, pictures: Pixels) -> tuple[Pixels, Pixels]:
        """Outputs and targets for stacked pairs, uint8 ``[N, H, W, C]``."""
        output, target, _ = self._look(tf.constant(pictures))
        return output.numpy(), target.numpy()
