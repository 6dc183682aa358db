"""Groups pictures of one size into batches for the network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from pix2pix.images.codec import Pixels


@dataclass(frozen=True)
class ReadyPicture:
    """A picture that is ready to be translated.

    Attributes:
        path: of the input, relative to its folder.
        text: metadata for the output's PNG.
        pixels: uint8 ``[H, W, 3]``.
    """

    path: str
    text: Mapping[str, str]
    pixels: Pixels


def batches(
    pictures: Iterable[ReadyPicture], size: int, max_pixels: int, max_waiting: int
) -> Iterator[list[ReadyPicture]]:
    """Group pictures by their size, in order of arrival within each size.

    Args:
        pictures: of any sizes.
        size: pictures in a batch at most.
        max_pixels: pixels in a batch at most; a single larger picture is a batch by itself.
        max_waiting: pixels that wait for others of their size at most, three bytes each. Above it the batch with the
            most pictures is released early.
    """
    waiting: dict[tuple[int, ...], list[ReadyPicture]] = {}
    for picture in pictures:
        shape = picture.pixels.shape
        waiting.setdefault(shape, []).append(picture)
        if len(waiting[shape]) == capacity(shape, size, max_pixels):
            yield waiting.pop(shape)
        while sum(len(batch) * math.prod(shape[:2]) for shape, batch in waiting.items()) > max_waiting:
            yield waiting.pop(max(waiting, key=lambda shape: len(waiting[shape])))
    yield from waiting.values()


def capacity(shape: tuple[int, ...], size: int, max_pixels: int) -> int:
    """Return the number of pictures in a full batch: `size`, or as many as `max_pixels` allow."""
    return max(1, min(size, max_pixels // math.prod(shape[:2])))


def stack_padded(batch: list[ReadyPicture], size: int, max_pixels: int) -> Pixels:
    """Stack pictures of one shape, repeating the last one up to a full batch: uint8 ``[N, H, W, 3]``.

    TensorFlow then sees a single batch shape for each picture shape. The number of pictures in a batch decides on the
    rounding of its sums, and each new shape costs a trace.
    """
    pixels = [picture.pixels for picture in batch]
    return np.stack([*pixels, *[pixels[-1]] * (capacity(pixels[0].shape, size, max_pixels) - len(pixels))])
