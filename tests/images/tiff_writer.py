"""A writer of TIFF files (TIFF 6.0) of any layout from arrays of samples: every tag and byte is known."""

from __future__ import annotations

import lzma
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NONE, LZW, DEFLATE, LZMA, PACKBITS = 1, 5, 8, 34925, 32773


@dataclass(frozen=True)
class Page:
    """One directory and its pixels.

    `samples` is [H, W, C], in the type that the file has; 1, 2, 4 and 12 bits come as the next larger unsigned type.
    """

    samples: Any
    photometric: int
    bits: int = 0
    order: str = "<"
    planar: bool = False
    tile: tuple[int, int] | None = None
    rows_per_strip: int = 0
    compression: int = NONE
    predictor: int = 1
    fill_order: int = 1
    extras: tuple[int, ...] = ()
    tags: Mapping[int, tuple[int, Sequence[int]]] = field(default_factory=dict)


_FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def write(*pages: Page, big: bool = False) -> bytes:
    """Return the file with these pages."""
    order = pages[0].order
    magic = {"<": b"II", ">": b"MM"}[order]
    out = bytearray(magic + struct.pack(f"{order}HHHQ" if big else f"{order}HI", *((43, 8, 0, 0) if big else (42, 0))))
    link, word = (8, "Q") if big else (4, "I")
    for page in pages:
        tags = _tags(page, out)
        table = bytearray(struct.pack(order + ("Q" if big else "H"), len(tags)))
        for tag in sorted(tags):
            kind, values = tags[tag]
            code = {1: "B", 3: "H", 4: "I", 7: "B", 11: "f", 5: "I"}[kind]
            content = struct.pack(f"{order}{len(values)}{code}", *values)
            count = len(values) // 2 if kind == 5 else len(values)
            if len(content) > struct.calcsize(word):
                place = struct.pack(order + word, len(out))
                out += content + b"\0" * (len(content) % 2)
            else:
                place = content.ljust(struct.calcsize(word), b"\0")
            table += struct.pack(f"{order}HH{word}", tag, kind, count) + place
        out[link : link + struct.calcsize(word)] = struct.pack(order + word, len(out))
        out += table
        link = len(out)
        out += bytes(struct.calcsize(word))
    return bytes(out)


def _tags(page: Page, out: bytearray) -> dict[int, tuple[int, Sequence[int]]]:
    height, width, channels = page.samples.shape
    bits = page.bits or 8 * page.samples.itemsize
    offsets, counts = [], []
    planes = [page.samples[..., c : c + 1] for c in range(channels)] if page.planar else [page.samples]
    for plane in planes:
        for block in _blocks(page, plane):
            packed = _packed(page, block, bits)
            offsets.append(len(out))
            counts.append(len(packed))
            out += packed + b"\0" * (len(packed) % 2)
    tags: dict[int, tuple[int, Sequence[int]]] = {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [bits] * channels),
        259: (3, [page.compression]),
        262: (3, [page.photometric]),
        266: (3, [page.fill_order]),
        277: (3, [channels]),
        284: (3, [2 if page.planar else 1]),
        317: (3, [page.predictor]),
        339: (3, [_FORMATS[page.samples.dtype.kind]] * channels),
    }
    if page.extras:
        tags[338] = (3, list(page.extras))
    if page.tile:
        tags |= {322: (4, [page.tile[0]]), 323: (4, [page.tile[1]]), 324: (4, offsets), 325: (4, counts)}
    else:
        tags |= {273: (4, offsets), 278: (4, [page.rows_per_strip or height]), 279: (4, counts)}
    return tags | dict(page.tags)


def _blocks(page: Page, plane: Any) -> list[Any]:
    height, width = plane.shape[:2]
    if not page.tile:
        rows = page.rows_per_strip or height
        return [plane[top : top + rows] for top in range(0, height, rows)]
    across, down = page.tile
    padded = np.pad(plane, ((0, -height % down), (0, -width % across), (0, 0)))
    tops, lefts = range(0, padded.shape[0], down), range(0, padded.shape[1], across)
    return [padded[top : top + down, left : left + across] for top in tops for left in lefts]


def _packed(page: Page, block: Any, bits: int) -> bytes:
    rows = block.reshape(len(block), -1)
    if page.predictor == 2:
        whole = np.ascontiguousarray(block).view(f"u{block.itemsize}")
        whole = np.concatenate([whole[:, :1], np.diff(whole, axis=1)], axis=1)
        rows = whole.reshape(len(block), -1)
    if page.predictor == 3:
        size = block.itemsize
        content = rows.astype(f">f{size}").view(np.uint8).reshape(len(rows), -1, size).swapaxes(1, 2)
        planes = content.reshape(len(rows), -1, block.shape[2])
        data = np.concatenate([planes[:, :1], np.diff(planes, axis=1)], axis=1).tobytes()
    elif bits % 8:
        data = _packed_bits(rows, bits)
    else:
        data = np.ascontiguousarray(rows).astype(rows.dtype.newbyteorder(page.order)).tobytes()
    if page.compression in (DEFLATE, 32946):
        data = zlib.compress(data)
    elif page.compression == LZMA:
        data = lzma.compress(data)
    elif page.compression == PACKBITS:
        width = len(data) // len(rows)
        data = b"".join(_packbits(data[start : start + width]) for start in range(0, len(data), width))
    elif page.compression == LZW:
        data = _lzw(data)
    return data.translate(_REVERSED) if page.fill_order == 2 else data


def _packbits(row: bytes) -> bytes:
    pieces = [row[start : start + 128] for start in range(0, len(row), 128)]
    return b"".join(bytes([len(piece) - 1]) + piece for piece in pieces)


def _lzw(data: bytes) -> bytes:
    """LZW without compression: the table is cleared before codes grow beyond 9 bits."""
    clear, end = 256, 257
    codes: list[int] = []
    for start in range(0, len(data), 250):
        codes += [clear, *data[start : start + 250]]
    return _packed_bits(np.array([[*codes, end]]), 9)


def _packed_bits(rows: Any, bits: int) -> bytes:
    """Pack the samples of each row, highest bit first, into whole bytes."""
    places = np.arange(bits - 1, -1, -1)
    each = (rows[..., np.newaxis] >> places.astype(rows.dtype)) & 1
    return np.packbits(each.reshape(len(rows), -1).astype(np.uint8), axis=1).tobytes()
