"""Structure check of PNG files: chunks, checksums and rows.

Pillow does not check these: it ignores checksums of pixel data and leaves missing rows black.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from pix2pix.errors import PictureError
from pix2pix.images.limits import check_size
from pix2pix.images.rejections import DAMAGED, TRUNCATED


def check_chunks(data: bytes) -> None:
    """Walk the chunks from the header to the end.

    Args:
        data: the whole file; anything after its last chunk is ignored.

    Raises:
        PictureError: ``TRUNCATED``, ``DAMAGED``, or a size outside the limits.
    """
    offset, view = 8, memoryview(data)
    while True:
        if offset + 12 > len(data):
            raise PictureError(TRUNCATED, "the file ends before its last chunk (IEND)")
        length = int.from_bytes(view[offset : offset + 4], "big")
        name = bytes(view[offset + 4 : offset + 8])
        end = offset + 12 + length
        if offset == 8 and (name != b"IHDR" or length != 13):
            raise PictureError(DAMAGED, "the first chunk is not a header (IHDR)")
        if offset == 8 and end <= len(data):
            check_size(*struct.unpack(">II", view[16:24]))
        if end > len(data):
            raise PictureError(TRUNCATED, f"the file ends {end - len(data):,} bytes before its chunk {name!r} does")
        if zlib.crc32(view[offset + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise PictureError(DAMAGED, f"wrong checksum in chunk {name!r}")
        if name == b"IEND":
            return
        offset = end


def check_rows(data: bytes) -> None:
    """Refuse a PNG whose compressed data is complete but holds fewer rows than its header states.

    Args:
        data: a PNG that `check_chunks` accepted.

    Raises:
        PictureError: ``TRUNCATED``.
    """
    width, height, depth, colour_type = struct.unpack(">IIBB", data[16:26])
    bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    if data[28]:  # interlaced: seven small pictures
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        sizes = [(-((x - width) // dx), -((y - height) // dy)) for x, y, dx, dy in passes]
    else:
        sizes = [(width, height)]
    expected = sum(rows * (1 + (across * bits + 7) // 8) for across, rows in sizes if across > 0)
    unpacker, size = zlib.decompressobj(), 0
    for name, content in _chunks(data):
        if name == b"IDAT":
            size += len(unpacker.decompress(content, max(1, expected - size)))
    if size < expected:
        raise PictureError(TRUNCATED, f"{size:,} bytes of pixels of {expected:,}")


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    offset, view = 8, memoryview(data)
    while offset + 12 <= len(data):
        end = offset + 12 + int.from_bytes(view[offset : offset + 4], "big")
        yield bytes(view[offset + 4 : offset + 8]), view[offset + 8 : end - 4]
        offset = end
