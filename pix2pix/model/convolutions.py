"""Convolutions of kernel size 4, direct or as matrix products.

oneDNN and Eigen are slow at the innermost layers of a U-Net: few pixels, 512 channels. On a CPU the same sum is up to
four times as fast as one matrix product over gathered patches; only the order of addition differs.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import tensorflow as tf

from pix2pix.tensorflow import Tensor


def downsample(x: Tensor, kernel: Tensor, matrix: bool) -> Tensor:
    """Convolve with kernel 4, stride 2 and padding 1: ``[N, H, W, C]`` to ``[N, H/2, W/2, D]``, for even H and W.

    Args:
        x: float, ``[N, H, W, C]``.
        kernel: ``[4, 4, C, D]``, of the same dtype.
        matrix: whether to compute a matrix product.
    """
    if not matrix:
        return tf.nn.conv2d(x, kernel, 2, "SAME")
    height, width = _size(x)
    channels, depth = x.shape[-1], kernel.shape[-1]
    # Blocks of 2 x 2 pixels become channels, so that a patch is four neighbours. `tf.slice`, since its gradient is a
    # padding; that of `x[...]` is three times as slow.
    blocks = tf.nn.space_to_depth(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 2)
    size = [-1, height // 2, width // 2, -1]
    patches = tf.stack([tf.slice(blocks, [0, i, j, 0], size) for i, j in product(range(2), repeat=2)], 3)
    patches = tf.reshape(patches, [-1, height // 2, width // 2, 2, 2, 2, 2, channels])
    patches = tf.transpose(patches, [0, 1, 2, 3, 5, 4, 6, 7])  # kernel row = 2 * block + offset; columns alike
    rows = 16 * channels
    sums = tf.matmul(tf.reshape(patches, [-1, rows]), tf.reshape(kernel, [rows, depth]))
    return tf.reshape(sums, [-1, height // 2, width // 2, depth])


def upsample(x: Tensor, kernel: Tensor, matrix: bool) -> Tensor:
    """Convolve transposed with kernel 4, stride 2 and padding 1, or resize: ``[N, h, w, C]`` to ``[N, 2h, 2w, D]``.

    Args:
        x: float, ``[N, H, W, C]``.
        kernel: ``[4, 4, D, C]`` (TensorFlow's order), of the same dtype; or ``[3, 3, D, C]``, to double the size by
            nearest neighbour and convolve with the kernel, turned by 180 degrees (see `resizing_kernel`).
        matrix: whether to compute a matrix product.
    """
    height, width = _size(x)
    side, _, depth, channels = kernel.shape
    if not matrix:
        kernel = kernel if side == 4 else resizing_kernel(kernel)
        return tf.nn.conv2d_transpose(x, kernel, [tf.shape(x)[0], 2 * height, 2 * width, depth], 2, "SAME")
    rows = side * side * depth
    taps = tf.matmul(tf.reshape(x, [-1, channels]), tf.reshape(kernel, [rows, channels]), transpose_b=True)
    if side == 3:  # the box filter that makes 4 x 4 of it is applied to the few pixels, not to the many weights
        taps = tf.reshape(taps, [-1, height, width, 3, 3, depth])
        taps = tf.pad(taps, [[0, 0], [0, 0], [0, 0], [0, 1], [0, 1], [0, 0]])
    taps = tf.reshape(taps, [-1, height, width, 2, 2, 2, 2, depth])  # kernel row = 2 * block + offset; columns alike
    # Unstacked and not sliced: the gradient of a slice fills the whole tensor.
    shares = tf.reshape(tf.transpose(taps, [3, 5, 0, 1, 4, 2, 6, 7]), [4, -1, 2 * height, 2 * width, depth])
    blocks = [
        tf.pad(share, [[0, 0], [2 * i, 2 - 2 * i], [2 * j, 2 - 2 * j], [0, 0]])
        for share, (i, j) in zip(tf.unstack(shares), product(range(2), repeat=2), strict=True)
    ]
    total = tf.add_n(blocks)
    if side == 3:
        total = total + tf.pad(total, [[0, 0], [1, 0], [0, 0], [0, 0]])[:, :-1]
        total = total + tf.pad(total, [[0, 0], [0, 0], [1, 0], [0, 0]])[:, :, :-1]
    return total[:, 1:-1, 1:-1]


def resizing_kernel(kernel: Tensor) -> Tensor:
    """Return the transposed convolution that doubles the size by nearest neighbour, then convolves.

    Each output pixel then has the same sum of weights before it, so that a flat area stays flat: no checkerboards
    (Odena et al., "Deconvolution and Checkerboard Artifacts", Distill 2016). The result equals the two operations one
    after the other and takes a transposed convolution's time, less than half of theirs.

    Args:
        kernel: of the convolution with stride 1 and padding 1, turned by 180 degrees: ``[3, 3, D, C]``.

    Returns:
        ``[4, 4, D, C]``.
    """
    rows = tf.pad(kernel, [[0, 1], [0, 0], [0, 0], [0, 0]]) + tf.pad(kernel, [[1, 0], [0, 0], [0, 0], [0, 0]])
    return tf.pad(rows, [[0, 0], [0, 1], [0, 0], [0, 0]]) + tf.pad(rows, [[0, 0], [1, 0], [0, 0], [0, 0]])


def conv4(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve with kernel 4, stride 1 and padding 1: ``[N, H, W, C]`` to ``[N, H-1, W-1, D]``."""
    # Padded beforehand: TensorFlow does not hand a convolution with explicit padding to oneDNN in the backward pass.
    return tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), kernel, 1, "VALID")


def _size(x: Tensor) -> tuple[Any, Any]:
    """Return height and width, as numbers if the graph knows them and as tensors otherwise."""
    known, shape = x.shape, tf.shape(x)
    return known[1] or shape[1], known[2] or shape[2]
