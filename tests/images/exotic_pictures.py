"""Pictures that are valid and unusual, each with the exact pixels that it must decode to."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import raw_formats as raw
from PIL import Image, ImageCms

WIDTH, HEIGHT = 11, 7
ORIENTATIONS: dict[int, Any] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@dataclass(frozen=True)
class Exotic:
    name: str
    data: bytes
    pixels: Any
    channels: int = 3
    tolerance: int = 0


def rgb() -> Any:
    return np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def gray() -> Any:
    return np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)


def smooth() -> Any:
    """A picture that JPEG keeps to within two levels: one tint, from dark to light, different in each corner."""
    y, x = np.mgrid[:32, :48]
    light = 40 + 2 * x + 3 * y
    return np.stack([light + 30, light, light - 20], axis=-1).astype(np.uint8)


def three(plane: Any) -> Any:
    return np.repeat(plane[..., np.newaxis], 3, axis=-1)


def over_white(colours: Any, alpha: Any) -> Any:
    part = alpha.astype(np.int64)[..., np.newaxis]
    return ((2 * (colours.astype(np.int64) * part + 255 * (255 - part)) + 255) // 510).astype(np.uint8)


def saved(pixels: Any, kind: str, mode: str | None = None, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, kind, **options)
    return buffer.getvalue()


def oriented(turn: int) -> Any:
    exif = Image.Exif()
    exif[0x0112] = turn
    return exif


def cases() -> Iterator[Exotic]:
    yield from lossless_rgb()
    yield from orientations()
    yield from grays_and_bits()
    yield from palettes()
    yield from transparency()
    yield from deep_samples()
    yield from floats()
    yield from print_colours()
    yield from channels()
    yield from oddities()


def lossless_rgb() -> Iterator[Exotic]:
    a = rgb()
    yield Exotic("png rgb8", saved(a, "PNG"), a)
    yield Exotic("png rgb8 interlaced", interlaced(a), a)
    yield Exotic("webp lossless rgb", saved(a, "WEBP", lossless=True), a)
    yield Exotic("bmp rgb24", saved(a, "BMP"), a)
    yield Exotic("bmp rgb24 top-down", raw.bmp(WIDTH, -HEIGHT, 24, b"".join(bgr_row(row) for row in a)), a)
    yield Exotic("bmp 32 bits", raw.bmp(WIDTH, -HEIGHT, 32, np.dstack([a[..., ::-1], gray()]).tobytes()), a)
    five = a >> 3
    words = (five[..., 0].astype(np.uint16) << 10) | (five[..., 1].astype(np.uint16) << 5) | five[..., 2]
    rows = b"".join(row.astype("<u2").tobytes() + b"\0\0" for row in words)
    yield Exotic("bmp 16 bits (5-5-5)", raw.bmp(WIDTH, -HEIGHT, 16, rows), (five.astype(int) * 255 // 31), tolerance=1)
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        yield Exotic(f"tiff rgb8 {compression}", saved(a, "TIFF", compression=compression), a)
    yield Exotic("tiff rgb8 big-endian", raw.tiff(WIDTH, HEIGHT, a.tobytes(), (8, 8, 8), 2, order=">"), a)
    s = smooth()
    yield Exotic("jpeg rgb", saved(s, "JPEG", quality=100, subsampling=0), s, tolerance=2)
    yield Exotic("jpeg progressive", saved(s, "JPEG", quality=100, subsampling=0, progressive=True), s, tolerance=2)
    yield Exotic("jpeg gray", saved(s[..., 0], "JPEG", quality=100), three(s[..., 0]), tolerance=2)


def bgr_row(row: Any) -> bytes:
    content = row[:, ::-1].tobytes()
    return content + b"\0" * (-len(content) % 4)


def interlaced(a: Any) -> bytes:
    """Adam7: seven passes, each encoded as a small picture."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = [row.tobytes() for x, y, dx, dy in passes for row in a[y::dy, x::dx] if row.size]
    return raw.png(a.shape[1], a.shape[0], 8, 2, rows, interlace=1)


def orientations() -> Iterator[Exotic]:
    a, s = rgb(), smooth()
    for turn, turned in ORIENTATIONS.items():
        yield Exotic(f"png exif {turn}", saved(a, "PNG", exif=oriented(turn)), turned(a))
        yield Exotic(f"webp exif {turn}", saved(a, "WEBP", lossless=True, exif=oriented(turn)), turned(a))
        yield Exotic(
            f"tiff orientation {turn}", raw.tiff(WIDTH, HEIGHT, a.tobytes(), (8, 8, 8), 2, orientation=turn), turned(a)
        )
        data = saved(s, "JPEG", quality=100, subsampling=0, exif=oriented(turn))
        yield Exotic(f"jpeg exif {turn}", data, turned(s), tolerance=2)


def grays_and_bits() -> Iterator[Exotic]:
    g = gray()
    yield Exotic("png gray8", saved(g, "PNG"), three(g))
    yield Exotic("webp gray", saved(three(g), "WEBP", lossless=True), three(g))
    yield Exotic("bmp gray8", saved(g, "BMP"), three(g))
    yield Exotic("tiff gray8", saved(g, "TIFF"), three(g))
    yield Exotic("tiff gray8 white is zero", raw.tiff(WIDTH, HEIGHT, (255 - g).tobytes(), (8,), 0), three(g))
    for bits in (1, 2, 4):
        low = g >> (8 - bits)
        rows = [raw.packed(row.tolist(), bits) for row in low]
        full = low * (255 // (2**bits - 1))
        yield Exotic(f"png gray{bits}", raw.png(WIDTH, HEIGHT, bits, 0, rows), three(full))
        yield Exotic(f"tiff gray{bits}", raw.tiff(WIDTH, HEIGHT, b"".join(rows), (bits,), 1), three(full))
    bits1 = g >> 7
    rows = b"".join(raw.packed(row.tolist(), 1).ljust(4, b"\0") for row in bits1[::-1])
    yield Exotic("bmp 1 bit", raw.bmp(WIDTH, HEIGHT, 1, rows, b"\0\0\0\0\xff\xff\xff\0"), three(bits1 * np.uint8(255)))


def palettes() -> Iterator[Exotic]:
    table = np.random.default_rng(3).integers(0, 256, (256, 3), dtype=np.uint8)
    for bits in (1, 2, 4, 8):
        index = gray() >> (8 - bits)
        rows = [raw.packed(row.tolist(), bits) for row in index]
        plte = raw.chunk(b"PLTE", table[: 2**bits].tobytes())
        yield Exotic(f"png palette{bits}", raw.png(WIDTH, HEIGHT, bits, 3, rows, before_palette=plte), table[index])
    index = gray() >> 4
    plte = raw.chunk(b"PLTE", table[:16].tobytes())
    alphas = np.arange(16, dtype=np.uint8) * 17
    rows = [raw.packed(row.tolist(), 4) for row in index]
    data = raw.png(WIDTH, HEIGHT, 4, 3, rows, before_palette=plte, before_data=raw.chunk(b"tRNS", alphas.tobytes()))
    yield Exotic("png palette with alphas", data, over_white(table[index], alphas[index]))
    plane = np.where(np.arange(16) == 5, 0, 255).astype(np.uint8)
    data = raw.png(WIDTH, HEIGHT, 4, 3, rows, before_palette=plte, before_data=raw.chunk(b"tRNS", plane.tobytes()))
    yield Exotic("png palette with one clear colour", data, over_white(table[index], plane[index]))
    colour_map = [int(v) * 257 for v in table.T.reshape(-1)]
    yield Exotic(
        "tiff palette8", raw.tiff(WIDTH, HEIGHT, gray().tobytes(), (8,), 3, colour_map=colour_map), table[gray()]
    )
    padded = b"".join(row.tobytes() + b"\0" * (-WIDTH % 4) for row in gray()[::-1])
    bgrx = np.concatenate([table[:, ::-1], np.zeros((256, 1), np.uint8)], axis=1)
    yield Exotic("bmp palette8", raw.bmp(WIDTH, HEIGHT, 8, padded, bgrx.tobytes()), table[gray()])


def transparency() -> Iterator[Exotic]:
    a, alpha, g = rgb(), np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8), gray()
    rgba, la = np.dstack([a, alpha]), np.dstack([g, alpha])
    white = over_white(a, alpha)
    yield Exotic("png rgba", saved(rgba, "PNG"), white)
    yield Exotic("webp rgba", saved(rgba, "WEBP", lossless=True, exact=True), white)
    yield Exotic("tiff rgba", saved(rgba, "TIFF"), white)
    yield Exotic("png gray and alpha", saved(la, "PNG"), over_white(three(g), alpha))
    yield Exotic(
        "tiff gray and alpha",
        raw.tiff(WIDTH, HEIGHT, la.tobytes(), (8, 8), 1, extra_samples=(2,)),
        over_white(three(g), alpha),
    )
    data = raw.tiff(WIDTH, HEIGHT, np.dstack([a, g]).tobytes(), (8,) * 4, 2, extra_samples=(0,))
    yield Exotic("tiff rgb and a channel that is not alpha", data, a)
    for clear in (0, 128):
        part = np.full((HEIGHT, WIDTH), clear, np.uint8)
        premultiplied = np.dstack([(a.astype(int) * clear // 255).astype(np.uint8), part])
        data = raw.tiff(WIDTH, HEIGHT, premultiplied.tobytes(), (8,) * 4, 2, extra_samples=(1,))
        yield Exotic(f"tiff premultiplied {clear}", data, over_white(a, part), tolerance=1)
    key = tuple(int(v) for v in a[2, 3])
    keyed = np.where((a == key).all(axis=-1), 0, 255).astype(np.uint8)
    extra = raw.chunk(b"tRNS", struct.pack(">HHH", *key))
    yield Exotic(
        "png rgb with a clear colour",
        raw.png(WIDTH, HEIGHT, 8, 2, [row.tobytes() for row in a], extra),
        over_white(a, keyed),
    )
    extra = raw.chunk(b"tRNS", struct.pack(">H", int(g[1, 1])))
    keyed = np.where(g == g[1, 1], 0, 255).astype(np.uint8)
    yield Exotic(
        "png gray with a clear level",
        raw.png(WIDTH, HEIGHT, 8, 0, [row.tobytes() for row in g], extra),
        over_white(three(g), keyed),
    )
    sixteen = (a.astype(np.uint16) << 8) + 5
    sixteen[4, 4] = sixteen[2, 3] + np.array([0, 0, 1], np.uint16)  # Another colour with equal high bytes.
    clear = tuple(int(v) for v in sixteen[2, 3])
    rows = [row.astype(">u2").tobytes() for row in sixteen]
    keyed = np.where((sixteen == sixteen[2, 3]).all(axis=-1), 0, 255).astype(np.uint8)
    a = (sixteen >> 8).astype(np.uint8)
    data = raw.png(WIDTH, HEIGHT, 16, 2, rows, raw.chunk(b"tRNS", struct.pack(">HHH", *clear)))
    yield Exotic("png rgb16 with a clear colour", data, over_white(a, keyed))
    for bits in (1, 2, 4):
        low = g >> (8 - bits)
        level = int(low[1, 1])
        keyed = np.where(low == level, 0, 255).astype(np.uint8)
        rows = [raw.packed(row.tolist(), bits) for row in low]
        full = low * np.uint8(255 // (2**bits - 1))
        data = raw.png(WIDTH, HEIGHT, bits, 0, rows, raw.chunk(b"tRNS", struct.pack(">H", level)))
        yield Exotic(f"png gray{bits} with a clear level", data, over_white(three(full), keyed))


def deep_samples() -> Iterator[Exotic]:
    deep = np.random.default_rng(5).integers(0, 65536, (HEIGHT, WIDTH, 4), dtype=np.uint16)
    big, high = deep.astype(">u2"), (deep >> 8).astype(np.uint8)
    g, h = deep[..., 0], high[..., 0]
    g_rows = [row.tobytes() for row in np.ascontiguousarray(big[..., 0])]
    yield Exotic("png gray16", raw.png(WIDTH, HEIGHT, 16, 0, g_rows), three(h))
    key = raw.chunk(b"tRNS", struct.pack(">H", int(g[2, 2])))
    keyed = np.where(g == g[2, 2], 0, 255).astype(np.uint8)
    yield Exotic(
        "png gray16 with a clear level", raw.png(WIDTH, HEIGHT, 16, 0, g_rows, key), over_white(three(h), keyed)
    )
    rows = [row.tobytes() for row in np.ascontiguousarray(big[..., :3])]
    yield Exotic("png rgb16", raw.png(WIDTH, HEIGHT, 16, 2, rows), high[..., :3])
    rows = [row.tobytes() for row in big]
    yield Exotic("png rgba16", raw.png(WIDTH, HEIGHT, 16, 6, rows), over_white(high[..., :3], high[..., 3]))
    rows = [row.tobytes() for row in np.ascontiguousarray(big[..., :2])]
    yield Exotic("png gray16 and alpha", raw.png(WIDTH, HEIGHT, 16, 4, rows), over_white(three(h), high[..., 1]))
    for order in "<>":
        plane = g.astype(order + "u2").tobytes()
        yield Exotic(f"tiff gray16 {order}", raw.tiff(WIDTH, HEIGHT, plane, (16,), 1, order=order), three(h))
        all3 = np.ascontiguousarray(deep[..., :3]).astype(order + "u2").tobytes()
        yield Exotic(f"tiff rgb16 {order}", raw.tiff(WIDTH, HEIGHT, all3, (16,) * 3, 2, order=order), high[..., :3])
    twelve = g >> 4
    rows12 = b"".join(raw.packed(row.tolist(), 12) for row in twelve)
    yield Exotic("tiff gray12", raw.tiff(WIDTH, HEIGHT, rows12, (12,), 1), three((twelve >> 4).astype(np.uint8)))
    whole = (g.astype(np.uint64) * 65537).astype("<u4")
    yield Exotic("tiff gray32", raw.tiff(WIDTH, HEIGHT, whole.tobytes(), (32,), 1), three(h))


def floats() -> Iterator[Exotic]:
    for full in (1.0, 255.0, 65535.0):
        values = np.linspace(0, full, WIDTH * HEIGHT, dtype="<f4").reshape(HEIGHT, WIDTH)
        data = raw.tiff(WIDTH, HEIGHT, values.tobytes(), (32,), 1, sample_format=3)
        expected = np.rint(values.astype(np.float64) * (255 / full)).astype(np.uint8)
        yield Exotic(f"tiff float up to {full:g}", data, three(expected))


def print_colours() -> Iterator[Exotic]:
    cmyk = np.random.default_rng(6).integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    c = cmyk.astype(float)
    shown = np.rint((255 - c[..., :3]) * (255 - c[..., 3:]) / 255)
    yield Exotic("tiff cmyk", saved(cmyk, "TIFF", "CMYK"), shown, tolerance=1)
    flat = np.full((16, 16, 4), (20, 90, 160, 30), np.uint8)
    shown = np.rint((255 - flat[..., :3].astype(float)) * (255 - 30) / 255)
    yield Exotic("jpeg cmyk, Adobe's inverted", saved(flat, "JPEG", "CMYK", quality=100), shown, tolerance=2)
    lab = np.zeros((4, 4, 3), np.uint8)
    lab[..., 0] = 255
    yield Exotic("tiff lab white", raw.tiff(4, 4, lab.tobytes(), (8, 8, 8), 8), np.full((4, 4, 3), 255), tolerance=1)
    yield from profiles()


def profiles() -> Iterator[Exotic]:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    a = rgb()
    yield Exotic("png with an sRGB profile", saved(a, "PNG", icc_profile=srgb), a)
    yield Exotic("png with a broken profile", saved(a, "PNG", icc_profile=b"no profile at all"), a)
    yield Exotic("png gray with an RGB profile", saved(gray(), "PNG", icc_profile=swapped_profile()), three(gray()))
    turned = a[..., [1, 0, 2]]
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})):
        data = saved(a, kind, icc_profile=swapped_profile(), **options)
        yield Exotic(f"{kind.lower()} with a profile that swaps red and green", data, turned, tolerance=1)


def swapped_profile() -> bytes:
    """The sRGB profile with the primaries of red and green exchanged: the result is predictable and visible."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(data[128:132], "big")
    offsets = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = data[offsets[b"rXYZ"] + 4 : offsets[b"rXYZ"] + 12], data[offsets[b"gXYZ"] + 4 : offsets[b"gXYZ"] + 12]
    data[offsets[b"rXYZ"] + 4 : offsets[b"rXYZ"] + 12] = green
    data[offsets[b"gXYZ"] + 4 : offsets[b"gXYZ"] + 12] = red
    # The description, stored as UTF-16, must no longer be that of sRGB.
    return bytes(data).replace("sRGB".encode("utf-16-be"), "GRBs".encode("utf-16-be"))


def channels() -> Iterator[Exotic]:
    a, g, alpha = rgb(), gray(), gray()[::-1]
    rgba, la = np.dstack([a, alpha]), np.dstack([g, alpha])
    yield Exotic("rgba as it is", saved(rgba, "PNG"), rgba, channels=4)
    yield Exotic("rgb as rgba", saved(a, "PNG"), np.dstack([a, np.full_like(g, 255)]), channels=4)
    yield Exotic("gray and alpha as they are", saved(la, "PNG"), la, channels=2)
    yield Exotic("gray as gray and alpha", saved(g, "PNG"), np.dstack([g, np.full_like(g, 255)]), channels=2)
    yield Exotic("gray as gray", saved(g, "PNG"), g[..., np.newaxis], channels=1)
    luma = (a.astype(int) @ np.array([19595, 38470, 7471]) + 0x8000) >> 16
    yield Exotic("rgb as gray", saved(a, "PNG"), luma[..., np.newaxis], channels=1)
    yield Exotic("gray as rgba", saved(g, "PNG"), np.dstack([three(g), np.full_like(g, 255)]), channels=4)
    white = over_white(three(g), alpha)[..., :1]
    yield Exotic("gray and alpha as gray", saved(la, "PNG"), white, channels=1)


def oddities() -> Iterator[Exotic]:
    a, s = rgb(), smooth()
    whole = saved(a, "PNG")
    yield Exotic("png with bytes after its end", whole + b"left over " * 50, a)
    jpeg = saved(s, "JPEG", quality=100, subsampling=0)
    yield Exotic("jpeg with bytes after its end", jpeg + b"\0" * 999, s, tolerance=2)
    yield Exotic("jpeg with broken EXIF", jpeg[:2] + app1(b"Exif\0\0II*\0\xff\xff\xff\xff") + jpeg[2:], s, tolerance=2)
    yield Exotic("png with an impossible orientation", saved(a, "PNG", exif=oriented(99)), a)
    two = raw.png(2, 2, 8, 2, [a[y, :2].tobytes() for y in range(2)])
    yield Exotic("the smallest picture", two, a[:2, :2])
    strip = np.tile(a[:1, :1], (2, 40, 1))
    yield Exotic("the longest shape", saved(strip, "PNG"), strip)
    flat = np.full((9, 9, 3), 77, np.uint8)
    yield Exotic("one colour", saved(flat, "PNG"), flat)
    for width in (1, 2, 5, 8, 9, 16):
        black = np.zeros((9, width + 1, 3), np.uint8)
        yield Exotic(f"black, interlaced, {width + 1} wide", interlaced(black), black)
    for bits in (1, 2, 4, 8, 16):
        rows = [raw.packed([0] * 13, bits)] * 5
        yield Exotic(f"black, gray{bits}", raw.png(13, 5, bits, 0, rows), np.zeros((5, 13, 3)))
    first = Image.fromarray(s)
    buffer = io.BytesIO()
    first.save(
        buffer,
        "MPO",
        save_all=True,
        append_images=[first.transpose(Image.Transpose.ROTATE_180)],
        quality=100,
        subsampling=0,
    )
    yield Exotic("jpeg of a telephone, with a second picture inside", buffer.getvalue(), s, tolerance=2)


def app1(content: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
