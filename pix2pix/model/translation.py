"""Translation of 8-bit pictures by a generator, inside the graph."""

from __future__ import annotations

import tensorflow as tf

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.colour import join_lab, split_lab, to_network, to_picture
from pix2pix.model.networks import Generator
from pix2pix.tensorflow import Tensor


def network_pair(parameters: TrainParameters, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Split stacked pictures into the generator's input and its target.

    Args:
        parameters: decide on channels and colorization.
        pictures: uint8 ``[N, H, W, 6]``, input and target as RGB; ``[N, H, W, 3]`` for colorization.

    Returns:
        input ``[N, H, W, C]`` and target ``[N, H, W, D]``, float32 in [-1, 1].
    """
    if parameters.lab_colorization:
        return split_lab(pictures)
    return (
        to_network(pictures[..., :3], parameters.input_channels),
        to_network(pictures[..., 3:], parameters.output_channels),
    )


def translate(
    generator: Generator, parameters: TrainParameters, pictures: Tensor, seeds: Tensor | None = None
) -> Tensor:
    """Translate pictures.

    Args:
        generator: the network.
        parameters: of its training.
        pictures: uint8 RGB ``[N, H, W, 3]``; H and W multiples of 2^levels.
        seeds: of the dropout as for `Generator`, or None for no dropout.

    Returns:
        uint8 ``[N, H, W, 3]``, or ``[N, H, W, 1]`` for a model of one output channel.
    """
    if parameters.lab_colorization:
        lightness, _ = split_lab(pictures)
        return join_lab(lightness, generator(lightness, seeds))
    return to_picture(generator(to_network(pictures, parameters.input_channels), seeds))


def target_picture(parameters: TrainParameters, pictures: Tensor) -> Tensor:
    """Return the targets of stacked pictures in the form of `translate`'s result, uint8."""
    if parameters.lab_colorization:
        return pictures
    target = pictures[..., 3:]
    return target if parameters.output_channels == 3 else to_picture(to_network(target, 1))


def pad_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    """Pad uint8 ``[N, H, W, C]`` by repeating the last row and column until height and width are multiples."""
    for axis in (1, 2):
        size = tf.shape(pictures)[axis]
        index = tf.minimum(tf.range((size + multiple - 1) // multiple * multiple), size - 1)
        pictures = tf.gather(pictures, index, axis=axis)
    return pictures
