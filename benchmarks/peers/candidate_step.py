"""What decision 011 weighs for the training and the product does not have, as changes to its step.

Each candidate follows its paper and is used alone or with others; `quality.py` lists them with their values.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import tensorflow as tf

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.losses import adversarial_loss, l1_loss
from pix2pix.model.networks import SLOPE, Discriminator, Layer
from pix2pix.model.translation import network_pair
from pix2pix.tensorflow import Tensor
from pix2pix.training.devices import Devices
from pix2pix.training.step import TrainingStep, learning_rate

R1_STEPS = 16
"""Steps between two penalties (Karras et al., arXiv 1912.04958, section 3.1: lazy regularization)."""


@dataclass(frozen=True)
class Candidate:
    """How the step differs from the product's; the defaults change nothing.

    Attributes:
        generator_rate: factor on the generator's learning rate (two time scales: Heusel et al., arXiv 1706.08500).
        discriminator_rate: factor on the discriminator's.
        label_smoothing: how far the target of real patches is below 1 (Salimans et al., arXiv 1606.03498, section 3.4).
        feature_matching: weight of the L1 distance of the discriminator's activations (Wang et al., arXiv 1711.11585,
            equation 4).
        r1: weight of the squared gradient at real pairs (Mescheder et al., arXiv 1801.04406, equation 9).
        spectral_norm: whether the discriminator's kernels are divided by their largest singular value, found by one
            step of power iteration at a time (Miyato et al., arXiv 1802.05957, algorithm 1).
        augment: whether what the discriminator sees is moved and its colours are changed (Zhao et al., arXiv
            2006.10738).
        nlpd: weight of the distance of normalized Laplacian pyramids beside L1 (Laparra et al. 2016).
    """

    generator_rate: float = 1.0
    discriminator_rate: float = 1.0
    label_smoothing: float = 0.0
    feature_matching: float = 0.0
    r1: float = 0.0
    spectral_norm: bool = False
    augment: bool = False
    nlpd: float = 0.0


class CandidateDiscriminator(Discriminator):
    """The product's discriminator, which also returns its activations and may normalize its kernels."""

    def __init__(self, parameters: TrainParameters, matrix: bool, spectral_norm: bool) -> None:
        super().__init__(parameters, parameters.seed, matrix)
        draw = tf.random.Generator.from_seed(parameters.seed)
        self._vectors = {
            name: tf.Variable(tf.math.l2_normalize(draw.normal([1, kernel.shape[-1]])), trainable=False)
            for name, kernel in self.weights.items()
            if spectral_norm and name.endswith("/kernel")
        }

    def _convolve(self, layer: Layer, x: Tensor) -> Tensor:
        name = f"{layer.name}/kernel"
        if name not in self._vectors:
            return super()._convolve(layer, x)
        kernel, vector = self.weights[name], self._vectors[name]
        flat = tf.reshape(kernel, [-1, kernel.shape[-1]])
        left = tf.math.l2_normalize(tf.stop_gradient(vector) @ tf.transpose(tf.stop_gradient(flat)))
        right = tf.math.l2_normalize(left @ tf.stop_gradient(flat))
        vector.assign(right)
        self.weights[name] = kernel / tf.reduce_sum(left @ flat * right)
        try:
            return super()._convolve(layer, x)
        finally:
            self.weights[name] = kernel

    def activations(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """Return the activations of each layer; the last are the logits."""
        values = tf.concat([x, y], -1)
        found = []
        for layer in self._layers[:-1]:
            values = tf.nn.leaky_relu(self._finish(layer, self._convolve(layer, values)), SLOPE)
            found.append(values)
        return [*found, self._finish(self._layers[-1], self._convolve(self._layers[-1], values))]


class CandidateStep(TrainingStep):
    """The product's step on one device, with candidates; its adversarial loss is cross entropy."""

    def __init__(self, parameters: TrainParameters, devices: Devices, candidate: Candidate) -> None:
        super().__init__(parameters, devices, parameters.max_steps)
        self._candidate = candidate
        self.discriminator: CandidateDiscriminator = CandidateDiscriminator(
            parameters, devices.matrix, candidate.spectral_norm
        )
        self.optimizers[1] = type(self.optimizers[1])(self.discriminator.variables_list(), parameters.beta1)

    def _learn(self, pictures: Tensor, seeds: Tensor, step: Tensor) -> Tensor:
        parameters, candidate = self._parameters, self._candidate
        x, y = network_pair(parameters, pictures)
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            generated = self.generator(x, seeds)
            seen = _Augmentation(seeds, step, x.shape) if candidate.augment else _as_it_is
            real = self.discriminator.activations(*seen(x, y))
            fake = self.discriminator.activations(*seen(x, generated))
            smooth = candidate.label_smoothing
            discriminator = tf.reduce_mean(
                (1 - smooth) * tf.nn.softplus(-real[-1]) + smooth * tf.nn.softplus(real[-1]) + tf.nn.softplus(fake[-1])
            )
            if candidate.r1:
                discriminator += tf.cond(
                    tf.equal(step % R1_STEPS, 0), lambda: self._penalty(x, y), lambda: tf.constant(0.0)
                )
            adversarial = tf.reduce_mean(adversarial_loss("vanilla", fake[-1]))
            l1 = tf.reduce_mean(l1_loss(y, generated))
            loss = parameters.gan_weight * adversarial + parameters.l1_weight * l1
            if candidate.feature_matching:
                distances = [
                    tf.reduce_mean(tf.abs(tf.stop_gradient(a) - b)) for a, b in zip(real[:-1], fake[:-1], strict=True)
                ]
                loss += candidate.feature_matching * tf.add_n(distances)
            if candidate.nlpd:
                loss += candidate.nlpd * nlpd(y, generated)
        gradients = [
            generator_tape.gradient(loss, self.generator.variables_list()),
            discriminator_tape.gradient(discriminator, self.discriminator.variables_list()),
        ]
        rate = learning_rate(parameters, step, self._total)
        self.optimizers[0].apply(gradients[0], step, rate * candidate.generator_rate)
        self.optimizers[1].apply(gradients[1], step, rate * candidate.discriminator_rate)
        return tf.stack([discriminator, adversarial, l1])

    def _penalty(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the penalty of one step, for all steps that go without."""
        with tf.GradientTape() as tape:
            tape.watch(y)
            logits = tf.reduce_sum(tf.reduce_mean(self.discriminator(x, y), [1, 2, 3]))
        slope = tf.reduce_sum(tf.square(tape.gradient(logits, y)), [1, 2, 3])
        return R1_STEPS * self._candidate.r1 / 2 * tf.reduce_mean(slope)


def _as_it_is(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y


class _Augmentation:
    """One random change of pictures in [-1, 1], the same for real and generated ones: colours, place, a gray square."""

    def __init__(self, seeds: Tensor, step: Tensor, shape: Any) -> None:
        seed = tf.stack([seeds[0, 0], seeds[0, 1] + tf.cast(step, tf.int32)])
        draws = tf.unstack(tf.random.stateless_uniform([7], seed, minval=-1.0))
        self._brightness, self._saturation, self._contrast = draws[0] / 2, draws[1] + 1, draws[2] / 2 + 1
        height, width = shape[1], shape[2]
        down, right = draws[3] * height / 8, draws[4] * width / 8
        self._down, self._right = (tf.cast(tf.round(move), tf.int32) for move in (down, right))
        top, left = (draws[5] + 1) * height / 4, (draws[6] + 1) * width / 4
        rows, columns = tf.range(float(height))[:, None], tf.range(float(width))[None]
        inside = (rows >= top) & (rows < top + height / 2) & (columns >= left) & (columns < left + width / 2)
        self._kept = 1 - tf.cast(inside, tf.float32)[None, :, :, None]

    def __call__(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Change a pair; colours only of `y`."""
        y += self._brightness
        gray = tf.reduce_mean(y, -1, keepdims=True)
        y = gray + (y - gray) * self._saturation
        mean = tf.reduce_mean(y, [1, 2, 3], keepdims=True)
        y = mean + (y - mean) * self._contrast
        return self._moved(x), self._moved(y)

    def _moved(self, picture: Tensor) -> Tensor:
        height, width = picture.shape[1], picture.shape[2]
        padded = tf.pad(picture, [[0, 0], [height // 8] * 2, [width // 8] * 2, [0, 0]])
        start = tf.stack([0, height // 8 - self._down, width // 8 - self._right, 0])
        return tf.slice(padded, start, picture.shape) * self._kept


def nlpd(target: Tensor, generated: Tensor) -> Tensor:
    """Return the distance of normalized Laplacian pyramids, as `picture_metrics` has it for luma, of all channels."""
    bands = [laplacian(picture, 4) for picture in (target, generated)]
    normalized = [[band / (0.17 + blur(tf.abs(band))) for band in side] for side in bands]
    distances = [
        # The root has no finite gradient at 0.
        tf.sqrt(tf.reduce_mean(tf.square(a - b), [1, 2, 3]) + 1e-6)
        for a, b in zip(*normalized, strict=True)
    ]
    return tf.reduce_mean(tf.add_n(distances)) / len(distances)


def laplacian(picture: Tensor, levels: int) -> list[Tensor]:
    """Return the levels of a Laplacian pyramid of ``[N, H, W, C]``, the finest first, the low-pass rest last."""
    found = []
    for _ in range(levels - 1):
        small = blur(picture)[:, ::2, ::2]
        found.append(picture - tf.image.resize(small, picture.shape[1:3]))
        picture = small
    return [*found, picture]


def blur(picture: Tensor) -> Tensor:
    """Filter each channel of ``[N, H, W, C]`` by the binomial kernel of five, with mirrored borders."""
    line = tf.constant([1.0, 4, 6, 4, 1]) / 16
    channels = picture.shape[-1]
    padded = tf.pad(picture, [[0, 0], [2, 2], [2, 2], [0, 0]], "REFLECT")
    kernel = tf.tile((line[:, None] * line)[:, :, None, None], [1, 1, channels, 1])
    return tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")
