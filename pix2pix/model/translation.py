"""From 8-bit pictures to 8-bit pictures through a generator, inside the graph.

It exists so that measuring during training, samples and every signature of an export run one and the same code.
"""

from __future__ import annotations

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.colour import join_lab, split_lab, to_network, to_picture
from pix2pix.model.networks import Generator
from pix2pix.tensorflow import Tensor, tf


def network_pair(parameters: TrainParameters, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Split stacked pictures into what the generator gets and what it should give.

    Args:
        parameters: for channels and colorization.
        pictures: uint8 ``[N, H, W, 6]``: input and target, RGB each; ``[N, H, W, 3]`` for colorization.

    Returns:
        float32 ``[N, H, W, C]`` and ``[N, H, W, D]`` in [-1, 1].
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
        parameters: with which it was trained.
        pictures: uint8 RGB ``[N, H, W, 3]``; H and W multiples of 2^levels.
        seeds: of the dropout, or None for none, as in `Generator`.

    Returns:
        uint8 ``[N, H, W, 3]``, or ``[N, H, W, 1]`` for a model of one output channel.
    """
    if parameters.lab_colorization:
        lightness, _ = split_lab(pictures)
        return join_lab(lightness, generator(lightness, seeds))
    return to_picture(generator(to_network(pictures, parameters.input_channels), seeds))


def target_picture(parameters: TrainParameters, pictures: Tensor) -> Tensor:
    """Take the targets out of stacked pictures, as `translate` would give them at best; uint8."""
    if parameters.lab_colorization:
        return pictures
    target = pictures[..., 3:]
    return target if parameters.output_channels == 3 else to_picture(to_network(target, 1))


def pad_to_multiple(pictures: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until height and width are multiples; uint8 ``[N, H, W, C]``."""
    for axis in (1, 2):
        size = tf.shape(pictures)[axis]
        index = tf.minimum(tf.range((size + multiple - 1) // multiple * multiple), size - 1)
        pictures = tf.gather(pictures, index, axis=axis)
    return pictures
