"""Writers of PNG, TIFF and BMP files, bit by bit: tests know every sample, and Pillow's encoders are not involved."""

from __future__ import annotations

import struct
import zlib

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    width: int,
    height: int,
    depth: int,
    colour_type: int,
    rows: list[bytes],
    before_data: bytes = b"",
    before_palette: bytes = b"",
    interlace: int = 0,
) -> bytes:
    """A PNG; `rows` are packed samples without filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlace)
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        PNG_SIGNATURE
        + chunk(b"IHDR", header)
        + before_palette
        + before_data
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )


def packed(values: list[int], bits: int) -> bytes:
    """Pack samples of `bits` bits, highest first, padded to whole bytes."""
    text = "".join(f"{value:0{bits}b}" for value in values)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def tiff(
    width: int,
    height: int,
    strip: bytes,
    bits: tuple[int, ...],
    photometric: int,
    *,
    order: str = "<",
    sample_format: int | None = None,
    extra_samples: tuple[int, ...] = (),
    colour_map: list[int] | None = None,
    orientation: int | None = None,
    pages: int = 1,
    compression: int = 1,
) -> bytes:
    """An uncompressed TIFF with one strip; further pages refer to the same strip."""
    entries: dict[int, tuple[int, tuple[int, ...]]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, bits),
        259: (3, (compression,)),
        262: (3, (photometric,)),
        273: (4, (8,)),
        277: (3, (len(bits),)),
        278: (4, (height,)),
        279: (4, (len(strip),)),
    }
    if orientation is not None:
        entries[274] = (3, (orientation,))
    if extra_samples:
        entries[338] = (3, extra_samples)
    if sample_format is not None:
        entries[339] = (3, (sample_format,) * len(bits))
    if colour_map is not None:
        entries[320] = (3, tuple(colour_map))
    body = strip + b"\0" * (len(strip) % 2)
    first = 8 + len(body)
    out = body
    for page in range(pages):
        start = 8 + len(out)
        table_length = 2 + 12 * len(entries) + 4
        table, tail = struct.pack(order + "H", len(entries)), b""
        for tag in sorted(entries):
            kind, values = entries[tag]
            content = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
            if len(content) > 4:
                where = struct.pack(order + "I", start + table_length + len(tail))
                tail += content
            else:
                where = content.ljust(4, b"\0")
            table += struct.pack(order + "HHI", tag, kind, len(values)) + where
        following = start + table_length + len(tail)
        table += struct.pack(order + "I", following if page + 1 < pages else 0)
        out += table + tail
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "I", first) + out


def bmp(width: int, height: int, bits: int, rows: bytes, palette: bytes = b"") -> bytes:
    """An uncompressed BMP; `rows` are padded to 4 bytes each; a negative height means top-down."""
    offset = 14 + 40 + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, len(rows), 2835, 2835, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + header + palette + rows
