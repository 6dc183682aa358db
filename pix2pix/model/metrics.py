"""How near a generated picture is to its target: L1, PSNR, SSIM, in TensorFlow.

It exists so that training, `evaluate` and the benchmarks mean the same by a figure. All three look at 8-bit pictures,
as a person would get them.
"""

from __future__ import annotations

from pix2pix.tensorflow import Tensor, tf

NAMES = ("l1", "psnr", "ssim")
"""Keys of `measure`'s result."""
SMALLEST = 11
"""Height and width in pixels from which SSIM is defined (its window)."""


def measure(target: Tensor, generated: Tensor) -> dict[str, Tensor]:
    """Compare pictures.

    Args:
        target: uint8 ``[N, H, W, C]``, at least 11 x 11.
        generated: likewise.

    Returns:
        float32 ``[N]`` each: ``l1``, mean absolute difference on the scale [-1, 1] (0 to 2, less is better); ``psnr``
        in dB (at most 100, more is better); ``ssim`` (at most 1, more is better; 11 x 11 Gaussian window, as in Wang
        et al. 2004).
    """
    a, b = tf.cast(target, tf.float32), tf.cast(generated, tf.float32)
    squares = tf.reduce_mean(tf.square(a - b), [1, 2, 3])
    return {
        "l1": tf.reduce_mean(tf.abs(a - b), [1, 2, 3]) / 127.5,
        "psnr": tf.minimum(100.0, 10 * tf.experimental.numpy.log10(255.0**2 / tf.maximum(squares, 1e-9))),
        "ssim": tf.image.ssim(a, b, 255.0),
    }


def is_better(name: str, value: float, than: float) -> bool:
    """Tell whether one figure is better than another of the same name."""
    return value < than if name == "l1" else value > than
