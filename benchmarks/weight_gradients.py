"""Is a matrix product a faster gradient of a convolution's weights than oneDNN's own?

Run ``ONEDNN_MAX_CPU_ISA=AVX2 python -m benchmarks.weight_gradients`` on one core, and again without the variable. For
the encoder's layers of 4 x 4 with stride 2, from 256 pixels and 64 filters on, it prints the milliseconds of
TensorFlow's ``Conv2DBackpropFilter``, of one product with the gathered patches, and of four products, one for each
quarter of the patches, which gathers less.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

LAYERS = ((64, 128, 128), (128, 256, 64), (256, 512, 32), (512, 512, 16))
"""Channels in, channels out, height of the input in pixels."""
ROUNDS = 15


def convolution(pictures: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Return the gradient by TensorFlow, ``[4, 4, in, out]``."""
    shape = [4, 4, pictures.shape[-1], gradients.shape[-1]]
    padded = tf.pad(pictures, [[0, 0], [1, 1], [1, 1], [0, 0]])
    return tf.raw_ops.Conv2DBackpropFilter(
        input=padded, filter_sizes=shape, out_backprop=gradients, strides=[1, 2, 2, 1], padding="VALID"
    )


def quarters(pictures: tf.Tensor) -> list[tf.Tensor]:
    """Return the four pieces of every patch, ``[1, H / 2, W / 2, 4 in]`` each."""
    blocks = tf.nn.space_to_depth(tf.pad(pictures, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2)
    half = pictures.shape[1] // 2
    return [blocks[:, row : row + half, column : column + half] for row in (0, 1) for column in (0, 1)]


def kernel(product: tf.Tensor, inputs: int) -> tf.Tensor:
    """Return a product of the patches, ``[16 in, out]``, in the order of a kernel."""
    order = tf.reshape(product, [2, 2, 2, 2, inputs, -1])
    return tf.reshape(tf.transpose(order, [0, 2, 1, 3, 4, 5]), [4, 4, inputs, -1])


def one_product(pictures: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Return the gradient by one product."""
    inputs, outputs = pictures.shape[-1], gradients.shape[-1]
    patches = tf.reshape(tf.concat(quarters(pictures), -1), [-1, 16 * inputs])
    return kernel(tf.matmul(patches, tf.reshape(gradients, [-1, outputs]), transpose_a=True), inputs)


def four_products(pictures: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Return the gradient by a product for each quarter of the patches."""
    inputs, outputs = pictures.shape[-1], gradients.shape[-1]
    flat = tf.reshape(gradients, [-1, outputs])
    parts = [tf.matmul(tf.reshape(part, [-1, 4 * inputs]), flat, transpose_a=True) for part in quarters(pictures)]
    return kernel(tf.stack(parts), inputs)


CONTENDERS: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "convolution": convolution,
    "one product": one_product,
    "four products": four_products,
}


def main() -> None:
    """Measure in turns, and print."""
    print(f"{os.environ.get('ONEDNN_MAX_CPU_ISA', 'all instructions')}, {len(os.sched_getaffinity(0))} cores")
    for inputs, outputs, height in LAYERS:
        pictures = tf.random.normal([1, height, height, inputs], seed=1)
        gradients = tf.random.normal([1, height // 2, height // 2, outputs], seed=2)
        compiled = {name: tf.function(contender) for name, contender in CONTENDERS.items()}
        expected = convolution(pictures, gradients).numpy()
        seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
        for contender in compiled.values():
            np.testing.assert_allclose(contender(pictures, gradients).numpy(), expected, atol=1e-2)
        for _ in range(ROUNDS):
            for name, contender in compiled.items():
                began = time.perf_counter()
                contender(pictures, gradients).numpy()
                seconds[name].append(time.perf_counter() - began)
        shown = ", ".join(f"{name} {1000 * statistics.median(values):.1f} ms" for name, values in seconds.items())
        print(f"{inputs} to {outputs} channels, {height} pixels: {shown}")


if __name__ == "__main__":
    main()
