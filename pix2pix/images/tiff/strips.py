"""Checks whether the strips or tiles of a TIFF add up to its size, as its header describes them."""

from __future__ import annotations

from pix2pix.errors import PictureError
from pix2pix.images.rejections import DAMAGED
from pix2pix.images.tiff.directory import Directory, Tag
from pix2pix.images.tiff.layout import UNCOMPRESSED, Layout


def check_strips(directory: Directory, layout: Layout) -> None:
    """Refuse strips or tiles that contradict the size of the picture.

    Without compression nothing else shows it: rows would be taken from the wrong place, or left out.

    Raises:
        PictureError: ``DAMAGED``.
    """
    planes = layout.samples if layout.planar else 1
    if Tag.TILE_WIDTH in directory.entries:
        width, height = directory.integer(Tag.TILE_WIDTH, 0), directory.integer(Tag.TILE_HEIGHT, 0)
        if min(width, height) > 0:
            needed = -(-layout.width // width) * -(-layout.height // height) * planes
            _check_number(len(directory.integers(Tag.TILE_OFFSETS)), needed)
        return
    if layout.compression != UNCOMPRESSED:
        return  # A decoder notices when the content of a strip does not have its size.
    rows = min(directory.integer(Tag.ROWS_PER_STRIP, layout.height), layout.height)
    if rows < 1:
        raise PictureError(DAMAGED, f"strips of {rows} rows")
    per_plane = -(-layout.height // rows)
    given = len(directory.integers(Tag.STRIP_OFFSETS))
    _check_number(given, per_plane * planes)
    row = -(-layout.width * layout.bits * (layout.samples // planes) // 8)
    for index, size in enumerate(directory.integers(Tag.STRIP_BYTE_COUNTS)[: per_plane * planes]):
        expected = row * min(rows, layout.height - index % per_plane * rows)
        # A wrong size alone is harmless, and some programs write 0.
        if given > per_plane * planes and 0 < size < expected:
            raise PictureError(
                DAMAGED,
                f"{given} strips of {size:,} bytes, and RowsPerStrip requires {per_plane * planes} of {expected:,}",
            )


def _check_number(given: int, needed: int) -> None:
    if given < needed:
        raise PictureError(DAMAGED, f"{given} strips or tiles, and its size requires {needed}")
