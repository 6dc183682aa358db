"""Files that are not usable pictures, generated from seeds: classes of damage, each with its code and many variants."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import raw_formats as raw
from PIL import Image

from pix2pix.images.rejections import (
    ASPECT,
    DAMAGED,
    EMPTY,
    FORMAT_NOT_ALLOWED,
    MULTI_FRAME,
    NOT_FINITE,
    SAMPLE_RANGE,
    TOO_LARGE,
    TOO_SMALL,
    TRUNCATED,
)

VARIANTS = 14


@dataclass(frozen=True)
class Malformed:
    name: str
    data: bytes
    codes: tuple[str, ...]


Maker = Callable[[np.random.Generator], bytes]


def corpus(variants: int = VARIANTS) -> Iterator[Malformed]:
    """Every class in `variants` variants; each class names its valid codes."""
    for number, (name, (make, codes)) in enumerate(CLASSES.items()):
        for variant in range(variants):
            yield Malformed(f"{name} {variant}", make(np.random.default_rng([number, variant])), codes)


def picture(rng: np.random.Generator, kind: str, mode: str = "RGB", **options: object) -> bytes:
    width, height = (int(side) for side in rng.integers(24, 64, 2))
    depth = {"RGB": 3, "L": 0, "RGBA": 4}[mode]
    shape = (height, width, depth) if depth else (height, width)
    buffer = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(buffer, kind, **options)
    return buffer.getvalue()


def cut(kind: str, low: float, high: float, **options: object) -> Maker:
    """Truncate a good file after a fraction of its bytes."""

    def make(rng: np.random.Generator) -> bytes:
        data = picture(rng, kind, **options)
        return data[: int(len(data) * rng.uniform(low, high))]

    return make


def frames(kind: str, **options: object) -> Maker:
    def make(rng: np.random.Generator) -> bytes:
        pages = [
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)) for _ in range(int(rng.integers(2, 5)))
        ]
        buffer = io.BytesIO()
        pages[0].save(buffer, kind, save_all=True, append_images=pages[1:], **options)
        return buffer.getvalue()

    return make


def foreign(kind: str) -> Maker:
    return lambda rng: picture(rng, kind)


def starting(*beginnings: bytes) -> Maker:
    """The beginning of another format, followed by random bytes."""

    def make(rng: np.random.Generator) -> bytes:
        return beginnings[int(rng.integers(len(beginnings)))] + rng.bytes(int(rng.integers(10, 500)))

    return make


def text(rng: np.random.Generator) -> bytes:
    words = ["please", "find", "the", "picture", "attached", "été", "\n", "42"]
    return " ".join(rng.choice(words, int(rng.integers(1, 60)))).encode() + b"."


def svg(rng: np.random.Generator) -> bytes:
    intro = rng.choice(["", "<?xml version='1.0'?>\n", "  \n"])
    return f"{intro}<svg xmlns='http://www.w3.org/2000/svg' width='{rng.integers(1, 99)}'/>".encode()


def archive(rng: np.random.Generator) -> bytes:
    if rng.random() < 0.3:
        return gzip.compress(rng.bytes(100), mtime=0)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("a.png", picture(rng, "PNG"))
    return buffer.getvalue()


def noise(rng: np.random.Generator) -> bytes:
    return b"\x01" + rng.bytes(int(rng.integers(1, 2000)))


def png_header(rng: np.random.Generator, **changes: int) -> bytes:
    fields = {"width": 16, "height": 16, "depth": 8, "colour_type": 2, **changes}
    return raw.png(rows=[bytes(48)] * 16, **fields)  # type: ignore[arg-type]


def png_flipped_data(rng: np.random.Generator) -> bytes:
    data = bytearray(picture(rng, "PNG"))
    position = data.index(b"IDAT") + 4 + int(rng.integers(0, 200))
    data[position] ^= 1 << int(rng.integers(8))
    return bytes(data)


def png_wrong_checksum(rng: np.random.Generator) -> bytes:
    data = bytearray(picture(rng, "PNG"))
    position = data.index(rng.choice([b"IHDR", b"IEND"])) + 4
    position += 13 if bytes(data[position - 4 : position]) == b"IHDR" else 0
    data[position + int(rng.integers(4))] ^= 0x55
    return bytes(data)


def png_too_little_data(rng: np.random.Generator) -> bytes:
    return raw.png(40, 40, 8, 2, [rng.bytes(120)] * int(rng.integers(1, 39)))


def png_interlaced_without_its_last_row(rng: np.random.Generator) -> bytes:
    width, height = int(rng.integers(2, 30)), 2 * int(rng.integers(4, 15))
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    sizes = [(len(range(x, width, dx)), len(range(y, height, dy))) for x, y, dx, dy in passes]
    rows = [rng.bytes(3 * across) for across, down in sizes for _ in range(down) if across]
    return raw.png(width, height, 8, 2, rows[:-1], interlace=1)


def png_data_that_is_not_packed(rng: np.random.Generator) -> bytes:
    header = struct.pack(">IIBBBBB", 16, 16, 8, 2, 0, 0, 0)
    body = raw.chunk(b"IHDR", header) + raw.chunk(b"IDAT", rng.bytes(200)) + raw.chunk(b"IEND", b"")
    return raw.PNG_SIGNATURE + body


def png_without_data(rng: np.random.Generator) -> bytes:
    header = struct.pack(">IIBBBBB", int(rng.integers(2, 99)), 16, 8, 2, 0, 0, 0)
    return raw.PNG_SIGNATURE + raw.chunk(b"IHDR", header) + raw.chunk(b"IEND", b"")


def png_without_header(rng: np.random.Generator) -> bytes:
    return raw.PNG_SIGNATURE + raw.chunk(b"IDAT", zlib.compress(rng.bytes(50))) + raw.chunk(b"IEND", b"")


def png_palette_without_palette(rng: np.random.Generator) -> bytes:
    return raw.PNG_SIGNATURE + raw.chunk(b"IHDR", b"") + raw.chunk(b"IEND", rng.bytes(3))


def png_chunk_past_the_end(rng: np.random.Generator) -> bytes:
    data = bytearray(picture(rng, "PNG"))
    position = data.index(b"IDAT") - 4
    data[position : position + 4] = struct.pack(">I", int(rng.integers(2**20, 2**31)))
    return bytes(data)


def png_bomb(rng: np.random.Generator) -> bytes:
    side = int(rng.integers(20_000, 60_001))
    return raw.png(side, side, 8, 2, [])


def png_text_bomb(rng: np.random.Generator) -> bytes:
    content = b"k\0\0" + zlib.compress(bytes(int(rng.integers(2, 5)) * 2**20), 9)
    return raw.png(4, 4, 8, 2, [bytes(12)] * 4, raw.chunk(b"zTXt", content))


def png_profile_bomb(rng: np.random.Generator) -> bytes:
    content = b"k\0\0" + zlib.compress(bytes(int(rng.integers(2, 5)) * 2**20), 9)
    return raw.png(4, 4, 8, 2, [bytes(12)] * 4, raw.chunk(b"iCCP", content))


def many_pixels(kind: str) -> Maker:
    """Sides within the limit, and more than 50 megapixels, by the header alone."""

    def make(rng: np.random.Generator) -> bytes:
        width, height = (int(side) for side in rng.integers(8_000, 16_000, 2))
        if kind == "BMP":
            return raw.bmp(width, height, 24, bytes(100))
        if kind == "TIFF":
            return raw.tiff(width, height, bytes(100), (8, 8, 8), 2)
        if kind == "WEBP":
            size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
            body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + size + bytes(20)
            return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
        if kind == "JPEG":
            return resized_jpeg(rng, width, height)
        return raw.png(width, height, 8, 2, [])

    return make


def resized_jpeg(rng: np.random.Generator, width: int, height: int) -> bytes:
    data = bytearray(picture(rng, "JPEG"))
    position = data.index(b"\xff\xc0") + 5
    data[position : position + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tiny(rng: np.random.Generator) -> bytes:
    side = int(rng.integers(1, 15))
    width, height = (1, side) if rng.random() < 0.5 else (side, 1)
    return raw.png(width, height, 8, 2, [bytes(3 * width)] * height)


def narrow(rng: np.random.Generator) -> bytes:
    short = int(rng.integers(2, 5))
    long = short * 20 + int(rng.integers(1, 50))
    width, height = (short, long) if rng.random() < 0.5 else (long, short)
    return raw.png(width, height, 8, 2, [bytes(3 * width)] * height)


def jpeg_of_no_size(rng: np.random.Generator) -> bytes:
    return resized_jpeg(rng, *((0, 40) if rng.random() < 0.5 else (40, 0)))


def jpeg_header_only(rng: np.random.Generator) -> bytes:
    data = picture(rng, "JPEG")
    return data[: int(rng.integers(3, data.index(b"\xff\xda")))]


def jpeg_without_tables(rng: np.random.Generator) -> bytes:
    data = picture(rng, "JPEG")
    for marker in (b"\xff\xdb", b"\xff\xc4"):
        while (position := data.find(marker)) >= 0:
            data = data[:position] + data[position + 2 + int.from_bytes(data[position + 2 : position + 4], "big") :]
    return data


def jpeg_scrambled_header(rng: np.random.Generator) -> bytes:
    data = bytearray(picture(rng, "JPEG"))
    position = data.index(b"\xff\xc0") + 4
    data[position] = int(rng.choice([1, 3, 5, 7, 9, 99]))
    return bytes(data)


def jpeg_of_many_scans(rng: np.random.Generator) -> bytes:
    """Unlimited decoding time from a small file: its last scan, repeated."""
    data = picture(rng, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * int(rng.integers(100, 2000)) + data[-2:]


def bmp_header(field: int, *values: int) -> Maker:
    def make(rng: np.random.Generator) -> bytes:
        data = bytearray(picture(rng, "BMP"))
        width = 2 if field in (26, 28) else 4
        data[field : field + width] = int(rng.choice(values)).to_bytes(width, "little", signed=False)
        return bytes(data)

    return make


def tiff_cut_directory(rng: np.random.Generator) -> bytes:
    data = raw.tiff(16, 16, rng.bytes(768), (8, 8, 8), 2)
    directory = int.from_bytes(data[4:8], "little")
    return data[: int(rng.integers(8, directory + 100))]


def tiff_offset_to_nowhere(rng: np.random.Generator) -> bytes:
    data = bytearray(raw.tiff(16, 16, rng.bytes(768), (8, 8, 8), 2))
    data[4:8] = struct.pack("<I", int(rng.integers(len(data), 2**31)))
    return bytes(data)


def tiff_of(bits: tuple[int, ...], photometric: int, compression: int = 1) -> Maker:
    return lambda rng: raw.tiff(16, 16, rng.bytes(16 * 16 * 16), bits, photometric, compression=compression)


def tiff_signed(rng: np.random.Generator) -> bytes:
    size = int(rng.choice([16, 32]))
    return raw.tiff(16, 16, rng.bytes(256 * size // 8), (size,), 1, sample_format=2)


def tiff_floats(*values: float) -> Maker:
    def make(rng: np.random.Generator) -> bytes:
        samples = rng.random((16, 16)).astype("<f4")
        samples[int(rng.integers(16)), int(rng.integers(16))] = rng.choice(values)
        return raw.tiff(16, 16, samples.tobytes(), (32,), 1, sample_format=3)

    return make


def webp_scrambled(rng: np.random.Generator) -> bytes:
    data = bytearray(picture(rng, "WEBP"))
    data[12:16] = [b"JUNK", b"VP8Z", b"\0\0\0\0"][int(rng.integers(3))]
    return bytes(data)


def webp_without_sense(rng: np.random.Generator) -> bytes:
    data = bytearray(picture(rng, "WEBP", lossless=True))
    data[25:] = bytes(len(data) - 25)
    return bytes(data)


CLASSES: dict[str, tuple[Maker, tuple[str, ...]]] = {
    "no bytes": (lambda rng: b"", (EMPTY,)),
    "text": (text, (FORMAT_NOT_ALLOWED,)),
    "svg": (svg, (FORMAT_NOT_ALLOWED,)),
    "archive": (archive, (FORMAT_NOT_ALLOWED,)),
    "noise": (noise, (FORMAT_NOT_ALLOWED,)),
    "zeros": (lambda rng: bytes(int(rng.integers(1, 5000))), (FORMAT_NOT_ALLOWED,)),
    "document": (starting(b"%PDF-1.7\n", b"%!PS-Adobe-3.0 EPSF", b"\xc5\xd0\xd3\xc6"), (FORMAT_NOT_ALLOWED,)),
    "program": (starting(b"\x7fELF\x02\x01", b"MZ\x90\0", b"#!/bin/sh\n"), (FORMAT_NOT_ALLOWED,)),
    "film or telephone format": (
        starting(b"\0\0\0\x1cftypheic", b"\0\0\0\x1cftypavif", b"\0\0\0\x1cftypmp42"),
        (FORMAT_NOT_ALLOWED,),
    ),
    "gif": (foreign("GIF"), (FORMAT_NOT_ALLOWED,)),
    "jpeg 2000": (foreign("JPEG2000"), (FORMAT_NOT_ALLOWED,)),
    "ppm": (foreign("PPM"), (FORMAT_NOT_ALLOWED,)),
    "tga": (foreign("TGA"), (FORMAT_NOT_ALLOWED,)),
    "icon": (foreign("ICO"), (FORMAT_NOT_ALLOWED,)),
    "half a signature": (lambda rng: raw.PNG_SIGNATURE[: int(rng.integers(1, 8))], (TRUNCATED,)),
    "png cut": (cut("PNG", 0.02, 0.99), (TRUNCATED,)),
    "png flipped bit": (png_flipped_data, (DAMAGED,)),
    "png wrong checksum": (png_wrong_checksum, (DAMAGED,)),
    "png too little data": (png_too_little_data, (TRUNCATED, DAMAGED)),
    "png interlaced without its last row": (png_interlaced_without_its_last_row, (TRUNCATED,)),
    "png data not packed": (png_data_that_is_not_packed, (DAMAGED,)),
    "png without data": (png_without_data, (DAMAGED, TRUNCATED)),
    "png without header": (png_without_header, (DAMAGED,)),
    "png empty header": (png_palette_without_palette, (DAMAGED,)),
    "png chunk past the end": (png_chunk_past_the_end, (TRUNCATED,)),
    "png impossible depth": (lambda rng: png_header(rng, depth=int(rng.choice([3, 5, 32]))), (DAMAGED,)),
    "png impossible colour type": (lambda rng: png_header(rng, colour_type=int(rng.choice([1, 5, 7]))), (DAMAGED,)),
    "png no width": (lambda rng: png_header(rng, width=0), (TOO_SMALL,)),
    "png bomb": (png_bomb, (TOO_LARGE,)),
    "png text bomb": (png_text_bomb, (TOO_LARGE,)),
    "png profile bomb": (png_profile_bomb, (TOO_LARGE,)),
    "png many pixels": (many_pixels("PNG"), (TOO_LARGE,)),
    "jpeg many pixels": (many_pixels("JPEG"), (TOO_LARGE,)),
    "bmp many pixels": (many_pixels("BMP"), (TOO_LARGE,)),
    "tiff many pixels": (many_pixels("TIFF"), (TOO_LARGE,)),
    "webp many pixels": (many_pixels("WEBP"), (TOO_LARGE,)),
    "one pixel wide": (tiny, (TOO_SMALL,)),
    "long and narrow": (narrow, (ASPECT,)),
    "png animated": (frames("PNG"), (MULTI_FRAME,)),
    "webp animated": (frames("WEBP"), (MULTI_FRAME,)),
    "tiff of several pages": (frames("TIFF"), (MULTI_FRAME,)),
    "jpeg cut": (cut("JPEG", 0.5, 0.95), (TRUNCATED,)),
    "jpeg progressive cut": (cut("JPEG", 0.5, 0.95, progressive=True), (TRUNCATED,)),
    "jpeg bomb of many scans": (jpeg_of_many_scans, (TOO_LARGE,)),
    "jpeg header only": (jpeg_header_only, (TRUNCATED,)),
    "jpeg of no size": (jpeg_of_no_size, (TOO_SMALL, DAMAGED)),
    "jpeg without tables": (jpeg_without_tables, (DAMAGED,)),
    "jpeg impossible depth": (jpeg_scrambled_header, (DAMAGED,)),
    "bmp cut": (cut("BMP", 0.1, 0.95), (TRUNCATED,)),
    "bmp impossible depth": (bmp_header(28, 3, 5, 7, 99), (DAMAGED,)),
    "bmp impossible compression": (bmp_header(30, 7, 77, 2**31), (DAMAGED,)),
    "tiff cut": (cut("TIFF", 0.05, 0.8), (TRUNCATED,)),
    "tiff cut directory": (tiff_cut_directory, (TRUNCATED,)),
    "tiff offset to nowhere": (tiff_offset_to_nowhere, (TRUNCATED,)),
    "tiff impossible depth": (tiff_of((7, 7, 7), 2), (DAMAGED,)),
    "tiff unknown compression": (tiff_of((8, 8, 8), 2, compression=4711), (DAMAGED,)),
    "tiff broken compression": (tiff_of((8, 8, 8), 2, compression=5), (DAMAGED,)),
    "tiff signed": (tiff_signed, (SAMPLE_RANGE,)),
    "tiff float not a number": (tiff_floats(float("nan"), float("inf"), float("-inf")), (NOT_FINITE,)),
    "tiff float out of range": (tiff_floats(-0.5, -3.0, 1e6), (SAMPLE_RANGE,)),
    "webp cut": (cut("WEBP", 0.1, 0.95), (TRUNCATED,)),
    "webp unknown chunk": (webp_scrambled, (DAMAGED,)),
    "webp without sense": (webp_without_sense, (DAMAGED,)),
}
