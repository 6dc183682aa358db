"""The image file directories of a TIFF, and the choice of the one with the full-size picture."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from pix2pix.errors import PictureError
from pix2pix.images.rejections import DAMAGED, MULTI_FRAME, TRUNCATED, UNSUPPORTED

MAX_DIRECTORIES = 1_000
"""Maximum number of directories; a file with more is refused."""
MAX_VALUES = 1 << 20
"""Maximum number of values of a tag: more strips or tiles than any picture within the limits has."""


class Tag(IntEnum):
    """The tags that decide how pixels are stored (TIFF 6.0, section 8)."""

    NEW_SUBFILE_TYPE = 254
    SUBFILE_TYPE = 255
    WIDTH = 256
    HEIGHT = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES_PER_PIXEL = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    PLANAR = 284
    PREDICTOR = 317
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SUB_DIRECTORIES = 330
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532
    ICC_PROFILE = 34675


_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 18: "Q"}
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_REDUCED, _MASK = 1, 4


@dataclass(frozen=True)
class Directory:
    """An image file directory.

    Attributes:
        data: the whole file.
        order: ``<`` or ``>``, as `struct` writes byte orders.
        big: whether the file is a BigTIFF.
        offset: of the directory in the file, bytes.
        entries: tag -> (type, number of values, offset of the values).
    """

    data: bytes = field(repr=False)
    order: str
    big: bool
    offset: int
    entries: Mapping[int, tuple[int, int, int]]

    def integers(self, tag: Tag, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the values of a tag.

        Raises:
            PictureError: ``DAMAGED`` (not integers, or too many) or ``TRUNCATED``.
        """
        if tag not in self.entries:
            return default
        kind, count, position = self.entries[tag]
        if kind not in _INTEGERS:
            raise PictureError(DAMAGED, f"the TIFF tag {tag} holds no integers")
        if count > MAX_VALUES:
            raise PictureError(DAMAGED, f"the TIFF tag {tag} has {count:,} values")
        values = _unpack(self.data, f"{self.order}{count}{_INTEGERS[kind]}", position)
        return values or default

    def integer(self, tag: Tag, default: int) -> int:
        """Return the first value of a tag."""
        return self.integers(tag, (default,))[0]

    def content(self, tag: Tag) -> bytes:
        """Return the bytes of a tag; empty if it is missing."""
        kind, count, position = self.entries.get(tag, (7, 0, 0))
        return self.data[position : position + count * _SIZES.get(kind, 1)]

    def moved_to_front(self) -> bytes:
        """Return the file with this directory as its first."""
        pointer = struct.pack(self.order + ("Q" if self.big else "I"), self.offset)
        start = 8 if self.big else 4
        return b"".join((self.data[:start], pointer, self.data[start + len(pointer) :]))


def find_picture(data: bytes, *, first: bool) -> Directory:
    """Return the directory of the one full-size picture.

    Reduced copies (``NewSubfileType`` 1) and transparency masks (4) are skipped, wherever they are.

    Args:
        data: the whole file.
        first: whether the first of several full-size pages is taken.

    Raises:
        PictureError: ``MULTI_FRAME`` if there are several, ``UNSUPPORTED`` if the main chain has only reduced
            copies, ``TRUNCATED`` or ``DAMAGED``.
    """
    full: list[Directory] = []
    others: list[Directory] = []
    for directory in directories(data):
        (others if _is_secondary(directory) else full).append(directory)
        if len(full) > 1:
            break
    if len(full) > 1 and not first:
        raise PictureError(MULTI_FRAME, "a TIFF of several pages")
    if full:
        return full[0]
    if len(others) == 1 and not others[0].integers(Tag.SUB_DIRECTORIES):
        return others[0]
    raise PictureError(
        UNSUPPORTED,
        "a TIFF whose pages are all reduced copies or masks, such as a camera's raw file; save the full-size picture"
        " as an RGB TIFF or PNG",
    )


def directories(data: bytes) -> Iterator[Directory]:
    """Yield the main chain of directories.

    Raises:
        PictureError: ``TRUNCATED`` if a directory ends past the file; ``DAMAGED`` if there are too many.
    """
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\x00", b"\x00+")
    word = "Q" if big else "I"
    (offset,) = _unpack(data, order + word, 8 if big else 4)
    visited: set[int] = set()
    while offset:
        if offset in visited:
            return  # A loop has no further page.
        if len(visited) >= MAX_DIRECTORIES:
            raise PictureError(DAMAGED, f"more than {MAX_DIRECTORIES:,} TIFF directories")
        visited.add(offset)
        (count,) = _unpack(data, order + ("Q" if big else "H"), offset)
        start = offset + (8 if big else 2)
        size = 20 if big else 12
        end = start + count * size
        if end > len(data):
            raise PictureError(TRUNCATED, "a TIFF directory ends past the end of the file")
        entries = {}
        for position in range(start, end, size):
            tag, kind, number = struct.unpack_from(f"{order}HH{word}", data, position)
            if tag not in _KNOWN_TAGS or tag in entries:
                continue
            values = position + size - struct.calcsize(word)
            if _SIZES.get(kind, 1) * number > struct.calcsize(word):
                (values,) = struct.unpack_from(order + word, data, values)
            entries[tag] = (kind, number, values)
        yield Directory(data, order, big, offset, entries)
        # Some writers leave out the last pointer at the end of the file.
        offset = _unpack(data, order + word, end)[0] if end + struct.calcsize(word) <= len(data) else 0


_KNOWN_TAGS = frozenset(int(tag) for tag in Tag)


def _is_secondary(directory: Directory) -> bool:
    if Tag.NEW_SUBFILE_TYPE in directory.entries:
        return bool(directory.integer(Tag.NEW_SUBFILE_TYPE, 0) & (_REDUCED | _MASK))
    return directory.integer(Tag.SUBFILE_TYPE, 1) == 2


def _unpack(data: bytes, layout: str, offset: int) -> tuple[int, ...]:
    if offset + struct.calcsize(layout) > len(data):
        raise PictureError(TRUNCATED, "the TIFF header ends with the file")
    return struct.unpack_from(layout, data, offset)
