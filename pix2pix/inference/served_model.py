"""A generator with the signatures of a model to serve.

    serving_default   image_bytes: PNG, JPEG, BMP or GIF of any size -> image_bytes: PNG or JPEG of the training size
    image             image: uint8 [N, H, W, 3] -> image: uint8 [N, H, W, 3 or 1], H and W any
    base64            image: web-safe base64 of such bytes -> image: web-safe base64

Pictures of a batch do not influence each other, except with `norm` "batch"; their number can change the order of sums,
and with it a value by one level.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from pix2pix.hyperparameters import ExportParameters, TrainParameters
from pix2pix.model.colour import to_levels
from pix2pix.model.networks import Generator
from pix2pix.model.translation import pad_to_multiple, translate
from pix2pix.tensorflow import Tensor

JPEG_QUALITY = 95


class ServedModel(tf.Module):
    """A generator with its signatures.

    Attributes:
        endpoints: name -> signature, as `tf.saved_model.save` takes them.
    """

    def __init__(self, generator: Generator, parameters: TrainParameters, options: ExportParameters) -> None:
        super().__init__()
        self.generator = generator
        # Traced once for all three signatures: a SavedModel is loaded node by node, so that its size is its load time.
        # Not an attribute: what is tracked is saved once more.
        network = _network(generator, parameters, options)
        from_bytes = _bytes_translator(network, parameters, options)

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="image")])
        def image(image: Tensor) -> dict[str, Tensor]:
            size = tf.shape(image)
            output = network(pad_to_multiple(image, 2**parameters.levels))
            return {"image": output[:, : size[1], : size[2]]}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serving_default(image_bytes: Tensor) -> dict[str, Tensor]:
            return {"image_bytes": from_bytes(image_bytes)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
        def base64(image: Tensor) -> dict[str, Tensor]:
            return {"image": tf.io.encode_base64(from_bytes(tf.io.decode_base64(image)))}

        self.endpoints = {"serving_default": serving_default, "image": image, "base64": base64}


def _network(
    generator: Generator, parameters: TrainParameters, options: ExportParameters
) -> Callable[[Tensor], Tensor]:
    """Return the translation of uint8 ``[N, H, W, 3]``, H and W multiples of 2^levels."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
    def network(pictures: Tensor) -> Tensor:
        # One mask for every picture: an output must not depend on its neighbours, nor change from call to call.
        seeds = tf.constant([[parameters.seed, 0]]) if options.dropout else None
        return translate(generator, parameters, pictures, seeds)

    return network


def _bytes_translator(
    network: Callable[[Tensor], Tensor], parameters: TrainParameters, options: ExportParameters
) -> Callable[[Tensor], Tensor]:
    """Return the translation of encoded pictures, string ``[N]``."""
    height, width = parameters.shape

    def decode(encoded: Tensor) -> Tensor:
        picture = tf.io.decode_image(encoded, channels=3, expand_animations=False)
        picture.set_shape([None, None, 3])  # decode_image leaves the rank open, and resize needs it
        return to_levels(tf.image.resize(picture, [height, width], "bicubic", antialias=True))

    def encode(picture: Tensor) -> Tensor:
        if options.filetype == "png":
            return tf.io.encode_png(picture)
        return tf.io.encode_jpeg(picture, quality=JPEG_QUALITY)

    def from_bytes(encoded: Tensor) -> Tensor:
        pictures = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8))
        return tf.map_fn(encode, network(pictures), fn_output_signature=tf.string)

    return from_bytes
