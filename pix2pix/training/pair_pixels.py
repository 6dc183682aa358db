"""Decodes a pair and scales its halves as the networks see them."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pix2pix.datasets.pairs import halves
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels, decode_bytes


def decode_parts(data: bytes, parameters: TrainParameters) -> tuple[Pixels, ...]:
    """Decode a pair into its halves A and B; for colorization a picture into itself.

    Raises:
        PictureError: the data cannot be used.
    """
    pixels = decode_bytes(data)
    return (pixels,) if parameters.lab_colorization else halves(pixels)


def stack_parts(parts: tuple[Pixels, ...], shape: tuple[int, int], parameters: TrainParameters) -> Pixels:
    """Scale the halves of a pair to `shape` and stack them: uint8 ``[H, W, 6]``, input first; 3 for colorization."""
    if parameters.lab_colorization:
        return _scale(parts[0], shape, Image.Resampling.BICUBIC)
    # Nearest neighbour invents no new label.
    resampling_a = Image.Resampling.NEAREST if parameters.labels else Image.Resampling.BICUBIC
    a, b = _scale(parts[0], shape, resampling_a), _scale(parts[1], shape, Image.Resampling.BICUBIC)
    return np.concatenate([a, b] if parameters.direction == "AtoB" else [b, a], axis=-1)


def _scale(pixels: Pixels, shape: tuple[int, int], resampling: Image.Resampling) -> Pixels:
    if pixels.shape[:2] == shape:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((shape[1], shape[0]), resampling))
