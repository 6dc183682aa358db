"""Checks the boxes of HEIF and AVIF files, and registers the HEIF decoder (ISO/IEC 14496-12 and 23008-12)."""

from __future__ import annotations

import functools

from pix2pix.errors import PictureError
from pix2pix.images.rejections import DAMAGED, FORMAT_NOT_ALLOWED, TRUNCATED

_NAMES = 1_000


def check_boxes(data: bytes) -> None:
    """Walk the top-level boxes.

    Raises:
        PictureError: ``TRUNCATED`` where a box ends past the file, ``DAMAGED`` where it cannot be a box,
            ``FORMAT_NOT_ALLOWED`` where no box describes pictures.
    """
    position, has_pictures = 0, False
    for _ in range(_NAMES):
        if position + 8 > len(data):
            break
        size, name = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if position and not name.isascii():
            break  # What follows the last box is no business of the picture.
        header = 8
        if size == 1:
            size, header = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif size == 0:
            size = len(data) - position
        if size < header:
            raise PictureError(DAMAGED, f"a box {name!r} of {size} bytes")
        has_pictures = has_pictures or name in (b"meta", b"moov")
        position += size
        if position > len(data) and (has_pictures or name == b"ftyp"):
            raise PictureError(TRUNCATED, f"the file ends {position - len(data):,} bytes before its box {name!r} does")
    if not has_pictures:
        raise PictureError(FORMAT_NOT_ALLOWED, "the content is a container like HEIC or AVIF without a picture in it")


@functools.cache
def register_heif() -> None:
    """Make Pillow open HEIF files; without thumbnails, depth maps and auxiliary pictures, which are not needed."""
    # Imported here: its libraries take time to load, and few folders need them.
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
