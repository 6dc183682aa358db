"""L1, PSNR and SSIM of generated pictures against their targets, on 8-bit values."""

from __future__ import annotations

import tensorflow as tf

from pix2pix.tensorflow import Tensor

NAMES = ("l1", "psnr", "ssim")
"""Keys of the result of `measure`."""
SMALLEST = 11
"""Smallest height and width for which SSIM is defined, pixels: its window."""


def measure(target: Tensor, generated: Tensor) -> dict[str, Tensor]:
    """Measure generated pictures against their targets.

    Args:
        target: uint8 ``[N, H, W, C]``, at least 11 x 11.
        generated: same shape and dtype.

    Returns:
        float32 ``[N]`` each: ``l1``, the mean absolute difference on the scale [-1, 1] (0 to 2, lower is better);
        ``psnr`` in dB (at most 100, higher is better); ``ssim`` (at most 1, higher is better; 11 x 11 Gaussian window,
        as in Wang et al. 2004).
    """
    a, b = tf.cast(target, tf.float32), tf.cast(generated, tf.float32)
    squares = tf.reduce_mean(tf.square(a - b), [1, 2, 3])
    return {
        "l1": tf.reduce_mean(tf.abs(a - b), [1, 2, 3]) / 127.5,
        "psnr": tf.minimum(100.0, 10 * tf.experimental.numpy.log10(255.0**2 / tf.maximum(squares, 1e-9))),
        "ssim": tf.image.ssim(a, b, 255.0),
    }


def is_better(name: str, value: float, than: float) -> bool:
    """Return whether `value` is better than `than` as the metric `name`."""
    return value < than if name == "l1" else value > than
