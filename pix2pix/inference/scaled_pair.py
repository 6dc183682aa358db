"""Reading of pairs at the size at which a model was trained, for measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix.datasets.pairs import read_pair
from pix2pix.errors import PictureError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels, decode
from pix2pix.images.rejections import TOO_SMALL
from pix2pix.model.metrics import SMALLEST


@dataclass(frozen=True)
class ScaledPair:
    """A pair at a training's size: uint8 input ``[H, W, 3]`` and target ``[H, W, 1 or 3]``.

    Attributes:
        path: of the file, relative to its folder.
        size: height and width of its halves before scaling, pixels.
    """

    path: str
    input: Pixels
    target: Pixels
    size: tuple[int, int]


def read_scaled(folder: Path, path: str, trained: TrainParameters) -> ScaledPair:
    """Read a pair (a single picture for colorization) and scale it as training does.

    Args:
        folder: that holds the file.
        path: of the file, relative to the folder.
        trained: hyperparameters of the training.

    Raises:
        PictureError: the file cannot be used.
    """
    if trained.lab_colorization:
        decoded = decode(folder / path)
        picture = scale(decoded, trained.shape, Image.Resampling.BICUBIC)
        return ScaledPair(path, picture, picture, (decoded.shape[0], decoded.shape[1]))
    a, b = read_pair(folder / path)
    if min(a.shape[:2]) < SMALLEST:
        raise PictureError(TOO_SMALL, f"{a.shape[1]}x{a.shape[0]}, and SSIM needs {SMALLEST} pixels each way")
    resampling = Image.Resampling.NEAREST if trained.labels else Image.Resampling.BICUBIC
    x, y = scale(a, trained.shape, resampling), scale(b, trained.shape, Image.Resampling.BICUBIC)
    if trained.direction == "BtoA":
        x, y = y, x
    return ScaledPair(path, x, _gray(y) if trained.output_channels == 1 else y, (a.shape[0], a.shape[1]))


def scale(pixels: Pixels, shape: tuple[int, int], resampling: Image.Resampling = Image.Resampling.BICUBIC) -> Pixels:
    """Scale a picture, uint8 ``[H, W, 1 or 3]``, to a height and width."""
    height, width = shape
    if pixels.shape[:2] == (height, width):
        return pixels
    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return np.asarray(picture.resize((width, height), resampling)).reshape(height, width, -1)


def _gray(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
