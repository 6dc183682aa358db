"""Check of the run-length encoding of a BMP: Pillow writes runs that leave the picture somewhere else."""

from __future__ import annotations

from pix2pix.errors import PictureError
from pix2pix.images.rejections import DAMAGED

_END_OF_LINE, _END_OF_BITMAP, _MOVE = 0, 1, 2


def check_runs(encoded: memoryview, size: tuple[int, int], bits: int) -> None:
    """Follow the runs of a picture.

    A run of one value that is longer than its row is cut off by all decoders, and accepted.

    Args:
        encoded: the runs, until the end of the file.
        size: width and height, pixels.
        bits: of a pixel, 4 or 8.

    Raises:
        PictureError: ``DAMAGED``: different values beyond the end of a row, or runs below the last row.
    """
    width, height = size
    column = row = position = 0
    while position + 1 < len(encoded):
        count, value = encoded[position], encoded[position + 1]
        position += 2
        if count:
            column = min(width, column + count)
        elif value == _END_OF_LINE:
            column, row = 0, row + 1
            continue
        elif value == _END_OF_BITMAP:
            return
        elif value == _MOVE:
            if position + 1 >= len(encoded):
                return
            column, row = column + encoded[position], row + encoded[position + 1]
            position += 2
            continue
        else:
            length = value if bits == 8 else (value + 1) // 2
            position += length + length % 2
            column += value
        if column > width or row >= height:
            raise PictureError(DAMAGED, f"run-length encoded pixels at column {column}, row {row} of {width}x{height}")
