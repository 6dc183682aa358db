"""A BMP is decoded correctly or refused with the correct code, whatever its header and its runs."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from pix2pix.errors import PictureError
from pix2pix.images.codec import decode_bytes
from pix2pix.images.rejections import DAMAGED, FORMAT_NOT_ALLOWED, UNSUPPORTED

PALETTE = np.random.default_rng(2).integers(0, 256, (16, 3), dtype=np.uint8)
END_OF_LINE, END = bytes([0, 0]), bytes([0, 1])


def run_length(runs: bytes, width: int = 8, height: int = 4, bits: int = 8) -> bytes:
    """Return a BMP of 8 or 4 bits with these runs and `PALETTE`."""
    colours = b"".join(bytes([blue, green, red, 0]) for red, green, blue in PALETTE.tolist())
    start = 54 + len(colours)
    header = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, {8: 1, 4: 2}[bits], len(runs), 2835, 2835, len(PALETTE), 0
    )
    return b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + header + colours + runs


def code_of(data: bytes) -> str:
    with pytest.raises(PictureError) as refusal:
        decode_bytes(data)
    return refusal.value.code


def test_runs_within_the_picture_are_read() -> None:
    rows = [bytes([5, row, 0, 3, 1, 2, 3, 0]) + END_OF_LINE for row in range(4)]
    expected = [[PALETTE[row]] * 5 + [PALETTE[1], PALETTE[2], PALETTE[3]] for row in (3, 2, 1, 0)]
    assert np.array_equal(decode_bytes(run_length(b"".join(rows) + END)), np.array(expected))


def test_a_run_that_is_longer_than_its_row_is_cut_off() -> None:
    rows = b"".join(bytes([255, row]) + END_OF_LINE for row in range(4))
    expected = [[PALETTE[row]] * 8 for row in (3, 2, 1, 0)]
    assert np.array_equal(decode_bytes(run_length(rows + END)), np.array(expected))


@pytest.mark.parametrize(
    "runs",
    [
        bytes([6, 1, 0, 3, 1, 2, 3, 0]),
        bytes([0, 9, *range(9), 0]),
        bytes([0, 2, 8, 0, 0, 3, 1, 2, 3, 0]),
        (bytes([8, 1]) + END_OF_LINE) * 5,
        bytes([0, 2, 0, 4, 8, 1]),
    ],
    ids=["past the row", "longer than the row", "moved past the row", "a row too many", "moved below the last row"],
)
@pytest.mark.parametrize("bits", [8, 4])
def test_runs_outside_the_picture_are_damage(runs: bytes, bits: int) -> None:
    if bits == 4 and runs[:2] == bytes([0, 9]):
        runs = bytes([0, 9, *range(5), 0])
    elif bits == 4:
        runs = runs.replace(bytes([0, 3, 1, 2, 3, 0]), bytes([0, 3, 0x12, 0x30]))
    assert code_of(run_length(runs + END, bits=bits)) == DAMAGED


@pytest.mark.parametrize(
    ("size", "code"), [(16, UNSUPPORTED), (48, UNSUPPORTED), (66, DAMAGED), (11, FORMAT_NOT_ALLOWED)]
)
def test_a_header_of_an_unusual_size_is_named(size: int, code: str) -> None:
    data = b"BM" + struct.pack("<IHHIIii", 4000, 0, 0, 14 + size, size, 8, 8) + bytes([1, 0, 24, 0]) + bytes(4000)
    assert code_of(data) == code


def test_text_that_begins_like_a_bmp_is_text() -> None:
    with pytest.raises(PictureError, match="the content is text") as refusal:
        decode_bytes(b"BMW 320, 1982, second owner, garage\n" * 20)
    assert refusal.value.code == FORMAT_NOT_ALLOWED
