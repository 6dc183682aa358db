"""The losses of both networks, on logits.

It exists apart from the networks so that each objective can be checked against plain NumPy. Every function returns one
value per picture (float32 ``[N]``, a mean over patches and pixels), so that a batch spread over devices sums to the
same loss. There is no log of a probability, hence no log(0).
"""

from __future__ import annotations

from pix2pix.tensorflow import Tensor, tf


def _mean(values: Tensor) -> Tensor:
    return tf.reduce_mean(values, axis=[1, 2, 3])


def discriminator_loss(mode: str, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises; not halved, for Adam does not see a factor.

    Args:
        mode: ``vanilla``, ``lsgan`` or ``hinge``.
        real: logits for targets, float32 ``[N, h, w, 1]``.
        fake: logits for what was generated, likewise.
    """
    if mode == "vanilla":
        return _mean(tf.nn.softplus(-real)) + _mean(tf.nn.softplus(fake))
    if mode == "lsgan":
        return _mean(tf.square(real - 1)) + _mean(tf.square(fake))
    return _mean(tf.nn.relu(1 - real)) + _mean(tf.nn.relu(1 + fake))


def adversarial_loss(mode: str, fake: Tensor) -> Tensor:
    """What the generator minimises in order to be taken for real; arguments as above."""
    if mode == "vanilla":
        return _mean(tf.nn.softplus(-fake))
    if mode == "lsgan":
        return _mean(tf.square(fake - 1))
    return _mean(-fake)


def l1_loss(target: Tensor, generated: Tensor) -> Tensor:
    """Mean absolute difference of pictures in [-1, 1], float32 ``[N, H, W, C]``."""
    return _mean(tf.abs(target - generated))
