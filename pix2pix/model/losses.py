"""Losses of both networks, on logits.

Each function returns one value per picture (float32 ``[N]``, the mean over patches or pixels), so that a batch spread
over devices sums to the same loss. Softplus replaces the logarithm of a probability, hence no log(0).
"""

from __future__ import annotations

import tensorflow as tf

from pix2pix.tensorflow import Tensor


def _mean(values: Tensor) -> Tensor:
    return tf.reduce_mean(values, axis=[1, 2, 3])


def discriminator_loss(mode: str, real: Tensor, fake: Tensor) -> Tensor:
    """Return the loss that the discriminator minimizes.

    Not halved as in the paper: Adam is invariant to a constant factor.

    Args:
        mode: ``vanilla``, ``lsgan`` or ``hinge``.
        real: logits of targets, float32 ``[N, h, w, 1]``.
        fake: logits of generated pictures, same shape.
    """
    if mode == "vanilla":
        return _mean(tf.nn.softplus(-real)) + _mean(tf.nn.softplus(fake))
    if mode == "lsgan":
        return _mean(tf.square(real - 1)) + _mean(tf.square(fake))
    return _mean(tf.nn.relu(1 - real)) + _mean(tf.nn.relu(1 + fake))


def adversarial_loss(mode: str, fake: Tensor) -> Tensor:
    """Return the adversarial loss that the generator minimizes; arguments as for `discriminator_loss`."""
    if mode == "vanilla":
        return _mean(tf.nn.softplus(-fake))
    if mode == "lsgan":
        return _mean(tf.square(fake - 1))
    return _mean(-fake)


def l1_loss(target: Tensor, generated: Tensor) -> Tensor:
    """Return the mean absolute difference of pictures in [-1, 1], float32 ``[N, H, W, C]``."""
    return _mean(tf.abs(target - generated))
