"""The generator (a U-Net) and the discriminator (a PatchGAN) as plain TensorFlow modules.

They follow the paper (Isola et al., arXiv 1611.07004) but for two points: no bias before a normalization, and no
normalization of the bottleneck, whose single pixel per channel would always become zero at batch size 1. Weights are
float32; activations may be bfloat16, statistics never are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.convolutions import conv4, downsample, resizing_kernel, upsample
from pix2pix.tensorflow import Tensor, Variable

EPSILON = 1e-5
"""Added to variances before the square root."""
SLOPE = 0.2
"""Slope of the leaky ReLU for negative values."""
DEEP_SIZE = 16
"""Height of the larger side of a layer up to which a matrix product is the faster convolution on a CPU, pixels."""
DEEP_CHANNELS = 128
"""Smallest number of channels, in and out, at which it is."""


@dataclass(frozen=True)
class Layer:
    """One convolution and the normalization or bias that follows it.

    Attributes:
        name: ``e1``, ``e2``, ... (encoder), ``d8`` to ``d1`` (decoder), ``l1``, ``l2``, ... (discriminator).
        kind: ``downsample``, ``upsample``, ``conv4`` (stride 1) or ``conv1`` (1x1).
        inputs: channels in.
        outputs: channels out.
        norm: whether the result is normalized; otherwise a bias is added.
        dropout: whether units are dropped in training.
        size: height of the larger of input and output at the training size, pixels.
        side: height and width of the kernel; an ``upsample`` of 3 doubles the size by nearest neighbour and convolves.
    """

    name: str
    kind: str
    inputs: int
    outputs: int
    norm: bool
    dropout: bool = False
    size: int = 0
    side: int = 4


def generator_layers(parameters: TrainParameters) -> list[Layer]:
    """Return the generator's layers in the order of computation."""
    depth, size, norm = parameters.levels, max(parameters.shape), parameters.norm != "none"
    filters = [parameters.input_channels, *(parameters.ngf * min(2**i, 8) for i in range(depth))]
    encoder = [
        Layer(f"e{i}", "downsample", filters[i - 1], filters[i], norm and 1 < i < depth, size=size >> (i - 1))
        for i in range(1, depth + 1)
    ]
    filters[0] = parameters.output_channels
    decoder = [
        Layer(
            f"d{i}",
            "upsample",
            filters[i] * (1 if i == depth else 2),
            filters[i - 1],
            norm and i > 1,
            dropout=i > max(1, depth - 3),
            size=size >> (i - 1),
            side=3 if parameters.upsampling == "resize" else 4,
        )
        for i in range(depth, 0, -1)
    ]
    return encoder + decoder


def discriminator_layers(parameters: TrainParameters) -> list[Layer]:
    """Return the discriminator's layers in the order of computation; none if `gan_weight` is 0."""
    if not parameters.gan_weight:
        return []
    count, norm = parameters.discriminator_layers, parameters.norm != "none"
    inputs = parameters.output_channels + (parameters.input_channels if parameters.condition_discriminator else 0)
    filters = [inputs, *(parameters.ndf * min(2**i, 8) for i in range(max(1, count) + 1))]
    kinds = ["downsample"] * count + ["conv4"] if count else ["conv1", "conv1"]
    layers = [
        Layer(f"l{i}", kind, filters[i - 1], filters[i], norm and i > 1, size=max(parameters.shape))
        for i, kind in enumerate(kinds, 1)
    ]
    return [*layers, Layer(f"l{len(layers) + 1}", "conv4" if count else "conv1", filters[-1], 1, False)]


class Network(tf.Module):
    """Named weights and the computation of one layer.

    Attributes:
        weights: ``<layer>/<kernel, depthwise, bias, gamma or beta>`` -> variable, in the order of computation.
    """

    def __init__(self, layers: list[Layer], parameters: TrainParameters, seed: int, matrix: bool) -> None:
        """Initialize the weights.

        Args:
            layers: of the network.
            parameters: decide on normalization, dropout and the kind of convolution.
            seed: of the weights; kernels are N(0, 0.02), gammas N(1, 0.02), biases and betas 0, as in the paper.
            matrix: whether deep layers are computed as matrix products, which is faster on a CPU.
        """
        super().__init__()
        self._norm_axes = [0, 1, 2] if parameters.norm == "batch" else [1, 2]
        self._rate = parameters.dropout
        self._matrix = {layer.name for layer in layers if matrix and is_deep(layer)}
        separable = parameters.separable_conv and isinstance(self, Generator)
        rng = np.random.default_rng([seed, len(layers)])
        self.weights: dict[str, Variable] = {}
        for layer in layers:
            for name, mean, spread, shape in weights_of(layer, separable):
                value = np.full(shape, mean, np.float32)
                if spread:
                    value += spread * rng.standard_normal(shape, np.float32)
                self.weights[f"{layer.name}/{name}"] = tf.Variable(value, name=f"{layer.name}/{name}")

    def to_serve(self, dtype: Any) -> None:
        """Convert kernels and biases to `dtype`, and gammas and betas to constants; the network can no longer learn."""
        # TensorFlow fuses a normalization by constants into one operation. Activations keep their own dtype.
        constant = {name: value.numpy() for name, value in self.weights.items() if name.endswith(("/gamma", "/beta"))}
        self.weights = {
            name: constant[name] if name in constant else tf.Variable(tf.cast(self._served(name), dtype), name=name)
            for name in self.weights
        }

    def _served(self, name: str) -> Tensor:
        """Return a weight as it is served: the kernel of a resizing layer is spread once, not at each call."""
        layer, _, kind = name.partition("/")
        weight = self.weights[name]
        spread = kind == "kernel" and weight.shape[0] == 3 and layer not in self._matrix
        return resizing_kernel(weight) if spread else weight

    def variables_list(self) -> list[Variable]:
        """Return the variables in the order of computation."""
        return list(self.weights.values())

    def _convolve(self, layer: Layer, x: Tensor) -> Tensor:
        kernel = tf.cast(self.weights[f"{layer.name}/kernel"], x.dtype)
        depthwise = self.weights.get(f"{layer.name}/depthwise")
        if depthwise is not None:
            if layer.kind == "upsample":
                x = tf.repeat(tf.repeat(x, 2, 1), 2, 2)
            stride = 2 if layer.kind == "downsample" else 1
            x = tf.nn.depthwise_conv2d(x, tf.cast(depthwise, x.dtype), [1, stride, stride, 1], "SAME")
        if depthwise is not None or layer.kind == "conv1":
            return tf.nn.conv2d(x, kernel, 1, "VALID")
        if layer.kind == "conv4":
            return conv4(x, kernel)
        return (downsample if layer.kind == "downsample" else upsample)(x, kernel, layer.name in self._matrix)

    def _finish(self, layer: Layer, x: Tensor) -> Tensor:
        """Normalize, or add the bias."""
        if not layer.norm:
            return tf.nn.bias_add(x, tf.cast(self.weights[f"{layer.name}/bias"], x.dtype))
        values = tf.cast(x, tf.float32)
        mean, variance = tf.nn.moments(values, self._norm_axes, keepdims=True)
        gamma, beta = (tf.cast(self.weights[f"{layer.name}/{name}"], tf.float32) for name in ("gamma", "beta"))
        scale = gamma * tf.math.rsqrt(variance + EPSILON)
        return tf.cast(values * scale + (beta - mean * scale), x.dtype)

    def _drop(self, number: int, x: Tensor, seeds: Tensor) -> Tensor:
        """Drop units, each picture by its own seed."""
        # A mask for the whole batch would change with the number of devices that share the batch.
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
        """Generate.

        Args:
            x: float ``[N, H, W, C]`` in [-1, 1]; H and W multiples of 2^levels.
            seeds: of the dropout, int32 ``[N, 2]``, or ``[1, 2]`` for one mask for all; None for no dropout.

        Returns:
            float32 ``[N, H, W, D]`` in [-1, 1].
        """
        depth = len(self._layers) // 2
        # Skips are taken after the leaky ReLU: relu(leaky_relu(x)) is relu(x), and the raw sums need not be kept.
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
        """Score every patch.

        Args:
            x: the generator's input, float ``[N, H, W, C]`` in [-1, 1].
            y: a target or a generated picture, float ``[N, H, W, D]``, of the same dtype.

        Returns:
            logits, float32 ``[N, h, w, 1]``; positive means real.
        """
        values = tf.concat([x, y], -1) if self._conditional else y
        for layer in self._layers[:-1]:
            values = tf.nn.leaky_relu(self._finish(layer, self._convolve(layer, values)), SLOPE)
        return tf.cast(self._finish(self._layers[-1], self._convolve(self._layers[-1], values)), tf.float32)


def is_deep(layer: Layer) -> bool:
    """Return whether a layer has few pixels and many channels at the training size."""
    return layer.size <= DEEP_SIZE and min(layer.inputs, layer.outputs) >= DEEP_CHANNELS


def parameter_count(layers: list[Layer], separable: bool = False) -> int:
    """Return the number of weights of a network."""
    return sum(math.prod(shape) for layer in layers for _, _, _, shape in weights_of(layer, separable))


def assign(network: Network, values: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Set every weight from `values`, whose names and shapes must be those of the network."""
    for name, variable in network.weights.items():
        variable.assign(values[name])


def weights_of(layer: Layer, separable: bool) -> list[tuple[str, float, float, tuple[int, ...]]]:
    """Return name, mean, standard deviation and shape of each weight of a layer."""
    side = 1 if layer.kind == "conv1" or separable else layer.side
    channels = (
        (layer.outputs, layer.inputs) if layer.kind == "upsample" and not separable else (layer.inputs, layer.outputs)
    )
    weights: list[tuple[str, float, float, tuple[int, ...]]] = [("kernel", 0.0, 0.02, (side, side, *channels))]
    if separable:
        weights.insert(0, ("depthwise", 0.0, 0.02, (4, 4, layer.inputs, 1)))
    if layer.norm:
        return [*weights, ("gamma", 1.0, 0.02, (layer.outputs,)), ("beta", 0.0, 0.0, (layer.outputs,))]
    return [*weights, ("bias", 0.0, 0.0, (layer.outputs,))]
