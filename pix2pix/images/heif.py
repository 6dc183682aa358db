"""Structure check of HEIF and AVIF files (ISO/IEC 14496-12 and 23008-12), and registration of the HEIF decoder."""

from __future__ import annotations

import functools
import struct

from pix2pix.errors import PictureError
from pix2pix.images.limits import check_largest
from pix2pix.images.rejections import DAMAGED, FORMAT_NOT_ALLOWED, TRUNCATED

_MAX_BOXES = 1_000
"""Top-level boxes that are visited."""


def check_boxes(data: bytes) -> None:
    """Walk the top-level boxes, and check the declared sizes against the limits.

    Raises:
        PictureError: ``TOO_LARGE``, ``TRUNCATED`` if a box ends past the file, ``DAMAGED`` if its size is impossible,
            ``FORMAT_NOT_ALLOWED`` if no box describes pictures.
    """
    position, has_pictures = 0, False
    for _ in range(_MAX_BOXES):
        if position + 8 > len(data):
            break
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if position and not name.isascii():
            break  # Anything after the last box is not part of the picture.
        header = 8
        if size == 1:
            size, header = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif size == 0:
            size = len(data) - position
        if size < header:
            raise PictureError(DAMAGED, f"a box {name!r} of {size} bytes")
        has_pictures = has_pictures or name in (b"meta", b"moov")
        if name == b"meta":
            _check_extents(data[position : position + size])
        position += size
        if position > len(data) and (has_pictures or name == b"ftyp"):
            raise PictureError(TRUNCATED, f"the file ends {position - len(data):,} bytes before its box {name!r} does")
    if not has_pictures:
        raise PictureError(FORMAT_NOT_ALLOWED, "the content is a container like HEIC or AVIF without a picture")


def _check_extents(meta: bytes) -> None:
    """Check the size of every picture: the decoder of AVIF refuses large ones without a reason."""
    found = meta.find(b"ispe")
    while found >= 0 and found + 16 <= len(meta):
        width, height = struct.unpack(">II", meta[found + 8 : found + 16])
        if min(width, height) > 0:
            check_largest(width, height)
        found = meta.find(b"ispe", found + 16)


@functools.cache
def register_heif() -> None:
    """Register the HEIF decoder with Pillow, without thumbnails, depth maps and auxiliary pictures."""
    # Imported here because its libraries take time to load, and few folders need them.
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
