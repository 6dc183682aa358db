"""Resizing of pictures of any kind and size to those that the model takes, as PNG files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from PIL import Image

from pix2pix.datasets.batch_convert import Converted, convert_folder
from pix2pix.datasets.drawings import DRAWINGS
from pix2pix.hyperparameters import ResizeParameters
from pix2pix.images.codec import load
from pix2pix.images.fitting import canvas, scaled
from pix2pix.images.header import read_file
from pix2pix.progress import Progress, silent


def resize_folder(
    source: Path,
    target: Path,
    parameters: ResizeParameters,
    *,
    only: Collection[str] | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Converted:
    """Resize every picture of a folder; output paths are the input paths with the suffix ``.png``.

    Equal input and parameters give equal bytes, whatever the number of threads. See `convert_folder` for
    the errors.

    Args:
        source: folder with pictures, however deep.
        target: folder for the results; created if missing, files in it are replaced.
        parameters: size, fit, operation, and so on.
        only: relative paths of the pictures to resize; names are still assigned from the whole folder. None means all.
        workers: threads; None means one per core.
        progress: called after each picture.
    """

    def convert(path: str) -> Image.Image:
        return resized(read_file(source / path), parameters)

    return convert_folder(source, target, convert, only=only, workers=workers, progress=progress)


def resized(data: bytes, parameters: ResizeParameters) -> Image.Image:
    """Decode the content of a picture file, fit it into the size, and draw the model's input from it.

    Args:
        data: the whole file.
        parameters: size, fit, operation, and so on.

    Returns:
        RGB, ``size`` high and ``width`` wide.

    Raises:
        PictureError: the file cannot be used.
    """
    size = (parameters.width or parameters.size, parameters.size)
    shrink = not (parameters.exact or parameters.labels)
    loaded = load(data, at_least=size if shrink else None, reading=parameters.reading)
    picture = scaled(loaded, size, parameters.fit, parameters.labels)
    if parameters.operation == "none":
        return canvas(picture, size)
    return DRAWINGS[parameters.operation].draw(picture, size)
