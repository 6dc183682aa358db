"""Resizing of pictures of any kind and size to squares that the model takes, as PNG files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from PIL import Image

from pix2pix.datasets.batch_convert import Converted, convert_folder
from pix2pix.hyperparameters import ResizeParameters
from pix2pix.images.codec import load
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
        parameters: size, fit, and so on.
        only: relative paths of the pictures to resize; names are still assigned from the whole folder. None means all.
        workers: threads; None means one per core.
        progress: called after each picture.
    """

    def convert(path: str) -> Image.Image:
        return resized(read_file(source / path), parameters)

    return convert_folder(source, target, convert, only=only, workers=workers, progress=progress)


def resized(data: bytes, parameters: ResizeParameters) -> Image.Image:
    """Decode the content of a picture file and fit it into a square.

    Args:
        data: the whole file.
        parameters: size, fit, and so on.

    Returns:
        RGB, ``size`` x ``size``.

    Raises:
        PictureError: the file cannot be used.
    """
    side = parameters.size
    shrink = not (parameters.exact or parameters.labels)
    loaded = load(data, at_least=(side, side) if shrink else None, reading=parameters.reading)
    return fit(loaded, (side, side), parameters.fit, parameters.labels)


def fit(picture: Image.Image, size: tuple[int, int], how: str, labels: bool = False) -> Image.Image:
    """Scale a picture to exactly `size` without distorting it.

    Args:
        picture: RGB or L.
        size: width and height of the result, pixels.
        how: ``crop`` (the largest centred part of that shape) or ``pad`` (the whole picture, centred on black).
        labels: nearest neighbour instead of antialiased bicubic.
    """
    return canvas(scaled(picture, size, how, labels), size)


def scaled(picture: Image.Image, size: tuple[int, int], how: str, labels: bool = False) -> Image.Image:
    """Scale as `fit` does, without the black: with ``pad``, the result is narrower or lower than `size`."""
    filtering = Image.Resampling.NEAREST if labels else Image.Resampling.BICUBIC
    across, down = picture.width / size[0], picture.height / size[1]
    if how == "crop":
        width = picture.width if across <= down else size[0] * down
        height = picture.height if down <= across else size[1] * across
        left, top = (picture.width - width) / 2, (picture.height - height) / 2
        return picture.resize(size, filtering, box=(left, top, left + width, top + height))
    scale = max(across, down)
    return picture.resize((max(1, round(picture.width / scale)), max(1, round(picture.height / scale))), filtering)


def canvas(picture: Image.Image, size: tuple[int, int], colour: str = "black") -> Image.Image:
    """Centre a picture on a canvas of one colour; a picture of that size is returned unchanged."""
    if picture.size == size:
        return picture
    whole = Image.new(picture.mode, size, colour)
    whole.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
    return whole
