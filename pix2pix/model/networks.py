"""The generator (a U-Net) and the discriminator (a PatchGAN) as plain TensorFlow modules.

It exists so that every layer of the paper can be read here, top-down, with what we do differently: no bias before a
normalisation and no normalisation of the bottleneck, which would leave it dead at batch 1. Weights are float32
variables by name; what is computed in between may be bfloat16, statistics never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.convolutions import double, halve, slide
from pix2pix.tensorflow import Tensor, Variable, tf

EPSILON = 1e-5
"""Added to variances."""
SLOPE = 0.2
"""Of the leaky rectifiers."""
SMALL = 16
"""Height in pixels, on the larger side of a layer, up to which the matrix form of a convolution pays on a CPU..."""
MANY = 128
"""...and the channels, in and out, from which it does."""


@dataclass(frozen=True)
class Layer:
    """One convolution and what follows it.

    Attributes:
        name: ``e1`` and on (encoder), ``d8`` to ``d1`` (decoder), ``l1`` and on (discriminator).
        kind: ``halve``, ``double``, ``slide`` or ``point`` (1x1).
        inputs: channels in.
        outputs: channels out.
        norm: whether statistics are normalised; if not, there is a bias.
        dropout: whether units are dropped in training.
        size: the larger side's height in pixels at the training size, for the choice of the convolution's form.
    """

    name: str
    kind: str
    inputs: int
    outputs: int
    norm: bool
    dropout: bool = False
    size: int = 0


def generator_layers(parameters: TrainParameters) -> list[Layer]:
    """List the generator's layers in the order of computation."""
    depth, size, norm = parameters.levels, max(parameters.shape), parameters.norm != "none"
    filters = [parameters.input_channels, *(parameters.ngf * min(2**i, 8) for i in range(depth))]
    encoder = [
        Layer(f"e{i}", "halve", filters[i - 1], filters[i], norm and 1 < i < depth, size=size >> (i - 1))
        for i in range(1, depth + 1)
    ]
    filters[0] = parameters.output_channels
    decoder = [
        Layer(
            f"d{i}",
            "double",
            filters[i] * (1 if i == depth else 2),
            filters[i - 1],
            norm and i > 1,
            dropout=i > max(1, depth - 3),
            size=size >> (i - 1),
        )
        for i in range(depth, 0, -1)
    ]
    return encoder + decoder


def discriminator_layers(parameters: TrainParameters) -> list[Layer]:
    """List the discriminator's layers in the order of computation; none where `gan_weight` is 0."""
    if not parameters.gan_weight:
        return []
    count, norm = parameters.discriminator_layers, parameters.norm != "none"
    inputs = parameters.output_channels + (parameters.input_channels if parameters.condition_discriminator else 0)
    filters = [inputs, *(parameters.ndf * min(2**i, 8) for i in range(max(1, count) + 1))]
    kinds = ["halve"] * count + ["slide"] if count else ["point", "point"]
    layers = [
        Layer(f"l{i}", kind, filters[i - 1], filters[i], norm and i > 1, size=max(parameters.shape))
        for i, kind in enumerate(kinds, 1)
    ]
    return [*layers, Layer(f"l{len(layers) + 1}", "slide" if count else "point", filters[-1], 1, False)]


class Network(tf.Module):
    """Weights by name, and how one layer is computed from them.

    Attributes:
        weights: ``<layer>/<kernel, depthwise, bias, gamma or beta>`` -> variable, in the order of computation.
    """

    def __init__(self, layers: list[Layer], parameters: TrainParameters, seed: int, matrix: bool) -> None:
        """Draw the weights.

        Args:
            layers: the network.
            parameters: for its norm and kind of convolution.
            seed: of the weights; kernels are N(0, 0.02), gammas N(1, 0.02), biases and betas 0, as in the paper.
            matrix: whether small layers may be computed as matrix products (on a CPU).
        """
        super().__init__()
        self._norm_axes = [0, 1, 2] if parameters.norm == "batch" else [1, 2]
        self._rate = parameters.dropout
        self._matrix = matrix
        separable = parameters.separable_conv and isinstance(self, Generator)
        draw = np.random.default_rng([seed, len(layers)])
        self.weights: dict[str, Variable] = {}
        for layer in layers:
            for name, mean, spread, shape in weights_of(layer, separable):
                value = np.full(shape, mean, np.float32)
                if spread:
                    value += spread * draw.standard_normal(shape, np.float32)
                self.weights[f"{layer.name}/{name}"] = tf.Variable(value, name=f"{layer.name}/{name}")

    def to_serve(self, dtype: Any) -> None:
        """Keep kernels and biases in another type from now on, and gammas and betas as constants.

        What is computed stays as it was, but TensorFlow can make one operation of a normalisation by constants.
        """
        constant = {name: value.numpy() for name, value in self.weights.items() if name.endswith(("/gamma", "/beta"))}
        self.weights = {
            name: constant[name] if name in constant else tf.Variable(tf.cast(value, dtype), name=name)
            for name, value in self.weights.items()
        }

    def variables_list(self) -> list[Variable]:
        """The variables in the order of computation."""
        return list(self.weights.values())

    def _convolve(self, layer: Layer, x: Tensor) -> Tensor:
        kernel = tf.cast(self.weights[f"{layer.name}/kernel"], x.dtype)
        depthwise = self.weights.get(f"{layer.name}/depthwise")
        if depthwise is not None:
            if layer.kind == "double":
                x = tf.repeat(tf.repeat(x, 2, 1), 2, 2)
            stride = 2 if layer.kind == "halve" else 1
            x = tf.nn.depthwise_conv2d(x, tf.cast(depthwise, x.dtype), [1, stride, stride, 1], "SAME")
        if depthwise is not None or layer.kind == "point":
            return tf.nn.conv2d(x, kernel, 1, "VALID")
        if layer.kind == "slide":
            return slide(x, kernel)
        return (halve if layer.kind == "halve" else double)(x, kernel, self._matrix and is_deep(layer))

    def _finish(self, layer: Layer, x: Tensor) -> Tensor:
        """Normalise, or add the bias."""
        if not layer.norm:
            return tf.nn.bias_add(x, tf.cast(self.weights[f"{layer.name}/bias"], x.dtype))
        values = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(values, self._norm_axes, keepdims=True)
        gamma, beta = (tf.cast(self.weights[f"{layer.name}/{name}"], tf.float32) for name in ("gamma", "beta"))
        scale = gamma * tf.math.rsqrt(variance + EPSILON)
        return tf.cast(values * scale + (beta - mean * scale), x.dtype)

    def _drop(self, number: int, x: Tensor, seeds: Tensor) -> Tensor:
        """Drop units, for each picture by its own seed, so that no split of a batch over devices changes them."""
        shape = tf.shape(x)[1:]
        kept = [
            tf.random.stateless_uniform(shape, seeds[n] + [0, number], alg="philox") >= self._rate
            for n in range(seeds.shape[0])
        ]
        return x * tf.cast(tf.stack(kept), x.dtype) / (1 - self._rate)


class Generator(Network):
    """The U-Net."""

    def __init__(self, parameters: TrainParameters, seed: int, matrix: bool = False) -> None:
        self._layers = generator_layers(parameters)
        super().__init__(self._layers, parameters, seed, matrix)

    def __call__(self, x: Tensor, seeds: Tensor | None = None) -> Tensor:
        """Translate.

        Args:
            x: float ``[N, H, W, C]`` in [-1, 1]; H and W multiples of 2^levels.
            seeds: int32 ``[N, 2]`` (or ``[1, 2]``: the same for all) of the dropout, or None for none.

        Returns:
            float32 ``[N, H, W, D]`` in [-1, 1].
        """
        depth = len(self._layers) // 2
        # Skips are taken after the leaky rectifier: behind relu it is the same, and the raw sums need not be kept.
        skips: list[Tensor] = []
        for layer in self._layers[:depth]:
            if layer.name != "e1":
                x = tf.nn.leaky_relu(x, SLOPE)
                skips.append(x)
            x = self._finish(layer, self._convolve(layer, x))
        for number, layer in enumerate(self._layers[depth:]):
            x = self._finish(layer, self._convolve(layer, tf.nn.relu(x)))
            if layer.dropout and seeds is not None and self._rate:
                x = self._drop(number, x, seeds)
            if skips:
                x = tf.concat([x, skips.pop()], -1)
        return tf.tanh(tf.cast(x, tf.float32))


class Discriminator(Network):
    """The PatchGAN: one logit per patch."""

    def __init__(self, parameters: TrainParameters, seed: int, matrix: bool = False) -> None:
        self._layers = discriminator_layers(parameters)
        self._conditional = parameters.condition_discriminator
        super().__init__(self._layers, parameters, seed, matrix)

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """Judge.

        Args:
            x: the generator's input, float ``[N, H, W, C]`` in [-1, 1].
            y: a target or what was generated, float ``[N, H, W, D]``, of the same type.

        Returns:
            logits, float32 ``[N, h, w, 1]``.
        """
        values = tf.concat([x, y], -1) if self._conditional else y
        for layer in self._layers[:-1]:
            values = tf.nn.leaky_relu(self._finish(layer, self._convolve(layer, values)), SLOPE)
        return tf.cast(self._finish(self._layers[-1], self._convolve(self._layers[-1], values)), tf.float32)


def is_deep(layer: Layer) -> bool:
    """Tell whether a layer has few pixels and many channels at the training size."""
    return layer.size <= SMALL and min(layer.inputs, layer.outputs) >= MANY


def parameter_count(layers: list[Layer], separable: bool = False) -> int:
    """Count the weights of a network."""
    return sum(math.prod(shape) for layer in layers for _, _, _, shape in weights_of(layer, separable))


def assign(network: Network, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Set every weight; names and shapes must be the network's own (see `pix2pix.training.checkpoints.require_fit`)."""
    for name, variable in network.weights.items():
        variable.assign(values[name])


def weights_of(layer: Layer, separable: bool) -> list[tuple[str, float, float, tuple[int, ...]]]:
    """List name, mean, spread and shape of each weight of a layer."""
    side = 1 if layer.kind == "point" or separable else 4
    channels = (
        (layer.outputs, layer.inputs) if layer.kind == "double" and not separable else (layer.inputs, layer.outputs)
    )
    weights: list[tuple[str, float, float, tuple[int, ...]]] = [("kernel", 0.0, 0.02, (side, side, *channels))]
    if separable:
        weights.insert(0, ("depthwise", 0.0, 0.02, (4, 4, layer.inputs, 1)))
    if layer.norm:
        return [*weights, ("gamma", 1.0, 0.02, (layer.outputs,)), ("beta", 0.0, 0.0, (layer.outputs,))]
    return [*weights, ("bias", 0.0, 0.0, (layer.outputs,))]
