"""Checks of a BMP's header, for kinds that Pillow does not support or misreads."""

from __future__ import annotations

import struct

from pix2pix.errors import PictureError
from pix2pix.images.bmp.run_length import check_runs
from pix2pix.images.rejections import DAMAGED, UNSUPPORTED

HEADER_SIZES = frozenset({12, 40, 52, 56, 64, 108, 124})
"""Sizes of the information headers that Pillow reads, bytes."""

_LARGEST_OS2 = 64
_COMPRESSIONS = {4: "JPEG inside", 5: "PNG inside", 6: "bit fields for alpha"}
_RUN_LENGTHS = {1: 8, 2: 4}
"""Compression -> bits per pixel."""


def check_bmp(data: bytes) -> None:
    """Refuse unsupported kinds, and runs outside the picture.

    Raises:
        PictureError: ``UNSUPPORTED``, ``DAMAGED`` or ``TRUNCATED``.
    """
    size = int.from_bytes(data[14:18], "little")
    if size not in HEADER_SIZES:
        if 12 < size < _LARGEST_OS2:
            raise unsupported_bmp(f"an OS/2 header of {size} bytes")
        raise PictureError(DAMAGED, f"a header of {size} bytes, which BMP does not define")
    if size < 40 or len(data) < 34:
        return
    depth, compression = struct.unpack("<HI", data[28:34])
    # In the 64 bytes of OS/2, 3 and 4 stand for other methods, which Pillow refuses.
    if compression in _COMPRESSIONS:
        raise unsupported_bmp(_COMPRESSIONS[compression])
    if depth in (2, 64):
        raise unsupported_bmp(f"{depth} bits per pixel")
    if compression in _RUN_LENGTHS:
        width, height = struct.unpack("<ii", data[18:26])
        start = int.from_bytes(data[10:14], "little")
        check_runs(memoryview(data)[start:], (width, abs(height)), _RUN_LENGTHS[compression])


def unsupported_bmp(what: str) -> PictureError:
    """Return the error for a kind of BMP that is not supported."""
    return PictureError(UNSUPPORTED, f"a BMP with {what}; save it with 24 bits, or as PNG")
