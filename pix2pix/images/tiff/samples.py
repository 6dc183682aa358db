"""Decoding of the TIFF layouts that Pillow gets wrong or refuses: deep, planar, signed and floating point samples.

Each plane is passed to Pillow as an 8-bit grey TIFF whose "pixels" are the plane's bytes: libtiff only decompresses.
Bit depth, byte order, predictor and meaning of the samples are applied here (TIFF 6.0, sections 14 and 19, and Adobe's
Photoshop TIFF Technical Note 3 for the floating point predictor).
"""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, TiffImagePlugin

from pix2pix.errors import PictureError
from pix2pix.images.depth import to_bytes
from pix2pix.images.limits import MAX_PIXELS
from pix2pix.images.orientation import upright
from pix2pix.images.rejections import DAMAGED, TOO_LARGE, TRUNCATED
from pix2pix.images.tiff.directory import Directory, Tag
from pix2pix.images.tiff.layout import CMYK, FLOAT, RGB, SIGNED, UNCOMPRESSED, WHITE_IS_ZERO, Layout
from pix2pix.reading import Range

MAX_SAMPLE_BYTES = 8 * MAX_PIXELS
"""Maximum bytes of unpacked samples: 16-bit RGB with alpha at the limit of pixels."""


@dataclass(frozen=True)
class SampledTiff:
    """A TIFF whose header was read and whose pixels are still packed.

    Attributes:
        directory: the picture's.
        layout: how the samples are stored.
        declared: values of black and white; see `pix2pix.images.depth`.
    """

    directory: Directory
    layout: Layout
    declared: Range | None

    format = "TIFF"

    @property
    def width(self) -> int:
        """Pixels, before the picture is turned upright."""
        return self.layout.width

    @property
    def height(self) -> int:
        """Pixels, before the picture is turned upright."""
        return self.layout.height

    def decode(self) -> Image.Image:
        """Unpack the pixels.

        Returns:
            upright, ``L``, ``LA``, ``RGB``, ``RGBA`` or ``CMYK``, with ``icc_profile`` in ``info``.

        Raises:
            PictureError: ``SAMPLE_RANGE``, ``NOT_FINITE``, ``TRUNCATED``, ``DAMAGED`` or ``TOO_LARGE``.
        """
        layout = self.layout
        colours = self._planes(0, layout.colours)
        mode = {RGB: "RGB", CMYK: "CMYK"}.get(layout.photometric, "L")
        opacity = [] if layout.alpha is None else self._planes(layout.alpha, 1)
        if layout.premultiplied:
            planes = _unmultiplied(colours, opacity[0], 2**layout.bits - 1)
        else:
            planes = [*map(self._colour, colours), *(to_bytes(plane, layout.bits) for plane in opacity)]
        mode += "A" * len(opacity)
        pixels = planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)
        picture = Image.frombytes(mode, (layout.width, layout.height), pixels.tobytes())
        picture = upright(picture, self.directory.integer(Tag.ORIENTATION, 1))
        if profile := self.directory.content(Tag.ICC_PROFILE):
            picture.info["icc_profile"] = profile
        return picture

    def _colour(self, plane: Any) -> Any:
        values = to_bytes(plane, self.layout.bits, self.declared)
        return 255 - values if self.layout.photometric == WHITE_IS_ZERO else values

    def _planes(self, first: int, count: int) -> list[Any]:
        """Return the samples of some channels, [H, W] each, in the file's type."""
        wanted = range(first, first + count)
        if self.layout.planar:
            return [_Plane.of(self, channel, 1).samples()[..., 0] for channel in wanted]
        whole = _Plane.of(self, 0, self.layout.samples).samples()
        return [whole[..., channel] for channel in wanted]


def _unmultiplied(colours: list[Any], alpha: Any, highest: int) -> list[Any]:
    """Divide colours by alpha at their full depth, and round colours and alpha to 8 bits.

    Dividing 8-bit samples, or cutting bits off, would be wrong by two or three levels over white.
    """
    divisor = np.maximum(alpha, 1).astype(np.float64)
    shown = [np.minimum(plane * (255 / divisor), 255) for plane in colours]
    return [np.rint(plane).astype(np.uint8) for plane in (*shown, alpha * (255 / highest))]


@dataclass(frozen=True)
class _Plane:
    """Strips or tiles that together hold `channels` samples of every pixel.

    Attributes:
        source: the picture.
        channels: samples of a pixel in this plane.
        block: width and height of a strip or tile, pixels.
        across: number of them side by side.
        pieces: their packed bytes, row by row.
    """

    source: SampledTiff
    channels: int
    block: tuple[int, int]
    across: int
    pieces: list[bytes]

    @classmethod
    def of(cls, source: SampledTiff, number: int, channels: int) -> _Plane:
        directory, layout = source.directory, source.layout
        is_tiled = Tag.TILE_OFFSETS in directory.entries or Tag.TILE_WIDTH in directory.entries
        if is_tiled:
            block = (directory.integer(Tag.TILE_WIDTH, 0), directory.integer(Tag.TILE_HEIGHT, 0))
        else:
            block = (layout.width, min(directory.integer(Tag.ROWS_PER_STRIP, layout.height), layout.height))
        if min(block) < 1 or max(block) > 1 << 16:
            raise PictureError(DAMAGED, f"strips or tiles of {block[0]} x {block[1]} pixels")
        across, down = -(-layout.width // block[0]), -(-layout.height // block[1])
        row = -(-block[0] * channels * layout.bits // 8)
        if (
            across * row * down * block[1] > 2 * MAX_SAMPLE_BYTES
            or layout.width * layout.height * (channels * layout.bits) > 8 * MAX_SAMPLE_BYTES
        ):
            raise PictureError(TOO_LARGE, f"{layout.samples} samples of {layout.bits} bits per pixel")
        offsets = directory.integers(Tag.TILE_OFFSETS if is_tiled else Tag.STRIP_OFFSETS)
        counts = directory.integers(Tag.TILE_BYTE_COUNTS if is_tiled else Tag.STRIP_BYTE_COUNTS)
        count = across * down
        offsets, counts = offsets[number * count :][:count], counts[number * count :][:count]
        if len(offsets) < count:
            raise PictureError(DAMAGED, f"{len(offsets)} strips or tiles, and its size requires {count}")
        pieces = []
        for index, offset in enumerate(offsets):
            rows = block[1] if is_tiled else min(block[1], layout.height - index * block[1])
            size = counts[index] if index < len(counts) else 0
            if layout.compression == UNCOMPRESSED:
                size = row * rows
            if offset + size > len(directory.data) or not size:
                raise PictureError(TRUNCATED, "the file ends before the pixels are complete")
            pieces.append(directory.data[offset : offset + size])
        return cls(source, channels, block, across, pieces)

    def samples(self) -> Any:
        """Return the samples, [H, W, channels], in native byte order."""
        layout = self.source.layout
        width = self.block[0]
        packed = self._unpacked()
        predictor = 1 if layout.compression in (UNCOMPRESSED, 32773) else layout.predictor
        blocks = packed.reshape(packed.shape[0], self.across, -1)
        if layout.bits == 12:
            values = _unpack_12_bits(blocks, width * self.channels)
        elif predictor == 3:
            values = _from_float_differences(blocks, self.channels)
        else:
            order = self.source.directory.order
            values = blocks.view(f"{order}u{layout.bits // 8}").astype(f"=u{layout.bits // 8}", copy=False)
        values = values.reshape(packed.shape[0], self.across, width, self.channels)
        if predictor == 2:
            values = np.add.accumulate(values, axis=2, dtype=values.dtype)
        kind = {FLOAT: "f", SIGNED: "i"}.get(layout.sample_format, "u")
        values = values.view(f"={kind}{values.dtype.itemsize}")
        return values.reshape(packed.shape[0], self.across * width, self.channels)[: layout.height, : layout.width]

    def _unpacked(self) -> Any:
        """Return the decompressed bytes of the plane, [rows, bytes of a row of blocks]."""
        width, height = self.block
        row = -(-width * self.channels * self.source.layout.bits // 8)
        is_tiled = Tag.TILE_WIDTH in self.source.directory.entries
        down = len(self.pieces) // self.across
        rows = height * down if is_tiled else self.source.layout.height
        content = _as_grey(self, (row, height), (row * self.across, rows), is_tiled)
        with TiffImagePlugin.TiffImageFile(io.BytesIO(content)) as grey:
            return np.array(grey)


def _as_grey(plane: _Plane, block: tuple[int, int], size: tuple[int, int], is_tiled: bool) -> bytes:
    """Return an 8-bit grey TIFF around packed strips or tiles."""
    directory, layout = plane.source.directory, plane.source.layout
    sizes = [len(piece) for piece in plane.pieces]
    offsets = list(itertools.accumulate(sizes[:-1], initial=8))
    tags: dict[int, tuple[str, list[int]]] = {
        Tag.WIDTH: ("I", [size[0]]),
        Tag.HEIGHT: ("I", [size[1]]),
        Tag.BITS_PER_SAMPLE: ("H", [8]),
        Tag.COMPRESSION: ("H", [layout.compression]),
        Tag.PHOTOMETRIC: ("H", [1]),
        Tag.FILL_ORDER: ("H", [directory.integer(Tag.FILL_ORDER, 1)]),
        Tag.SAMPLES_PER_PIXEL: ("H", [1]),
    }
    if is_tiled:
        tags |= {Tag.TILE_WIDTH: ("I", [block[0]]), Tag.TILE_HEIGHT: ("I", [block[1]])}
        tags |= {Tag.TILE_OFFSETS: ("I", offsets), Tag.TILE_BYTE_COUNTS: ("I", sizes)}
    else:
        tags |= {Tag.ROWS_PER_STRIP: ("I", [block[1]])}
        tags |= {Tag.STRIP_OFFSETS: ("I", offsets), Tag.STRIP_BYTE_COUNTS: ("I", sizes)}
    body = b"".join(plane.pieces)
    start = 8 + len(body)
    tail = start + 2 + 12 * len(tags) + 4
    table, values = struct.pack("<H", len(tags)), b""
    for tag in sorted(tags):
        kind, numbers = tags[tag]
        content = struct.pack(f"<{len(numbers)}{kind}", *numbers)
        if len(content) > 4:
            place = struct.pack("<I", tail + len(values))
            values += content
        else:
            place = content.ljust(4, b"\0")
        table += struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(numbers)) + place
    return b"".join((b"II*\0", struct.pack("<I", start), body, table, bytes(4), values))


def _unpack_12_bits(blocks: Any, count: int) -> Any:
    """Unpack two 12-bit samples from each three bytes; every row of a block starts on a byte."""
    padded = np.pad(blocks, ((0, 0), (0, 0), (0, -blocks.shape[-1] % 3)))
    triples = padded.reshape(*blocks.shape[:2], -1, 3).astype(np.uint16)
    first = triples[..., 0] << 4 | triples[..., 1] >> 4
    second = (triples[..., 1] & 15) << 8 | triples[..., 2]
    return np.stack([first, second], axis=-1).reshape(*blocks.shape[:2], -1)[..., :count]


def _from_float_differences(blocks: Any, channels: int) -> Any:
    """Undo the floating point predictor: bytes grouped by significance, the highest first, as differences."""
    rows, across, size = blocks.shape
    differences = blocks.reshape(rows, across, size // channels, channels)
    planes = np.add.accumulate(differences, axis=2, dtype=np.uint8).reshape(rows, across, 4, size // 4)
    return np.ascontiguousarray(planes.swapaxes(2, 3)).view(">u4").astype(np.uint32)[..., 0]
