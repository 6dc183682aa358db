"""Every combination of a TIFF's sample layout with known pixels, and the table of the outcomes in the docs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from tiff_writer import DEFLATE, LZMA, LZW, NONE, PACKBITS, Page

WIDTH, HEIGHT = 21, 19
MEANINGS = {
    "grey, 0 is black": 1,
    "grey, 0 is white": 0,
    "RGB": 2,
    "palette": 3,
    "CMYK": 5,
    "YCbCr": 6,
    "L\\*a\\*b\\*": 8,
}
"""Name in the docs -> PhotometricInterpretation."""
COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3}
TYPES = ("u1", "u2", "u4", "u8", "u12", "u16", "u32", "u64", "i8", "i16", "i32", "f16", "f32", "f64")
"""Unsigned, signed or floating point, and bits."""
EXTRAS: dict[str, tuple[int, ...]] = {
    "colours alone": (),
    "and a sample to ignore": (0,),
    "and alpha": (2,),
    "and premultiplied alpha": (1,),
}
"""Name in the docs -> ExtraSamples."""
PLANES = "colours alone, separate planes"


@dataclass(frozen=True)
class Kind:
    """The samples of a file, whatever their packing."""

    photometric: int
    type: str
    extras: tuple[int, ...]
    planar: bool = False

    @property
    def bits(self) -> int:
        return int(self.type[1:])

    def samples(self, seed: int = 1) -> Any:
        rng = np.random.default_rng(seed)
        shape = (HEIGHT, WIDTH, COLOURS[self.photometric] + len(self.extras))
        if self.type[0] == "f":
            return rng.random(shape).astype(f"f{self.bits // 8}")
        size = max(1, 1 << (max(self.bits, 8) - 1).bit_length() >> 3)
        if self.type[0] == "i":
            return rng.integers(-(2 ** (self.bits - 1)), 2 ** (self.bits - 1), shape).astype(f"i{size}")
        values = rng.integers(0, 2**self.bits, shape, dtype=np.uint64).astype(f"u{size}")
        if self.extras == (1,):
            part = values[..., -1:].astype(float) / (2**self.bits - 1)
            values[..., :-1] = (values[..., :-1] * part).astype(values.dtype)
        return values

    def page(self, **packing: Any) -> Page:
        tags: dict[int, tuple[int, list[int]]] = {}
        if self.photometric == 3:
            tags[320] = (3, [value * 257 for value in colour_map(self.bits).T.reshape(-1).tolist()])
        if self.photometric == 6:
            tags[530] = (3, [1, 1])
        return Page(
            self.samples(),
            self.photometric,
            bits=self.bits,
            extras=self.extras,
            planar=self.planar,
            tags=tags,
            **packing,
        )

    def pixels(self) -> Any:
        """RGB over white, [H, W, 3], by arithmetic independent of the decoder."""
        values = self.samples()
        count = COLOURS[self.photometric]
        if self.photometric == 3:
            shown = colour_map(self.bits)[values[..., 0]].astype(float)
        else:
            shown = as_bytes(values[..., :count], self.type)
        if self.photometric == 0:
            shown = 255 - shown
        if self.photometric == 5:
            shown = (255 - shown[..., :3]) * (255 - shown[..., 3:]) / 255
        if self.photometric == 6:
            y, b, r = np.moveaxis(shown, -1, 0) - np.array([0, 128, 128])[:, None, None]
            shown = np.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], axis=-1).clip(0, 255)
        if shown.shape[-1] == 1:
            shown = shown.repeat(3, axis=-1)
        if self.extras in ((1,), (2,)):
            if self.extras == (1,) and self.bits > 8:
                colours, alpha = np.split(values * (255 / (2**self.bits - 1)), [count], axis=-1)
                return np.broadcast_to(colours + 255 - alpha, (*values.shape[:2], 3))
            alpha = as_bytes(values[..., count:], self.type)
            shown = (shown if self.extras == (1,) else shown * alpha / 255) + 255 - alpha
        return shown

    @property
    def tolerance(self) -> int:
        return 1 if self.extras in ((1,), (2,)) or self.photometric in (5, 6) else 0


def as_bytes(values: Any, kind: str) -> Any:
    bits = int(kind[1:])
    if kind[0] == "f":
        return np.rint(values.astype(float) * 255)
    if bits < 8:
        return values.astype(float) * (255 // (2**bits - 1))
    return (values >> (bits - 8)).astype(float)


def colour_map(bits: int) -> Any:
    return np.random.default_rng(9).integers(0, 256, (2 ** min(bits, 8), 3), dtype=np.uint8)


def kinds() -> Iterator[tuple[str, str, str, Kind]]:
    """Yield meaning, type, column of the table and samples."""
    for (name, photometric), kind in itertools.product(MEANINGS.items(), TYPES):
        for column, extras in EXTRAS.items():
            yield name, kind, column, Kind(photometric, kind, extras)
        if COLOURS[photometric] > 1:
            yield name, kind, PLANES, Kind(photometric, kind, (), planar=True)


def packings(kind: Kind) -> Iterator[dict[str, Any]]:
    """Yield every packing of the same samples: byte order, strips or tiles, compression, predictor, order of bits."""
    whole = kind.bits in (8, 16, 32)
    for order, tile, compression in itertools.product("<>", (None, (16, 16)), (NONE, LZW, DEFLATE, PACKBITS, LZMA)):
        for predictor in (1, 2, 3):
            if predictor == 3 and kind.type != "f32":
                continue
            if predictor > 1 and (
                compression in (NONE, PACKBITS) or not whole or kind.type[0] == "f" != predictor == 3
            ):
                continue
            yield {
                "order": order,
                "tile": tile,
                "rows_per_strip": 0 if tile else 8,
                "compression": compression,
                "predictor": predictor,
            }
    if kind.bits in (1, 8, 16):
        yield {"fill_order": 2}
        yield {"fill_order": 2, "compression": LZW}


def table(outcomes: dict[tuple[str, str], dict[str, str]]) -> str:
    """The table of the docs: (meaning, type) -> column -> outcome; types with equal outcomes share a row."""
    columns = [*EXTRAS, PLANES]
    lines = [f"| samples | type | {' | '.join(columns)} |", "|---" * (2 + len(columns)) + "|"]
    rows: dict[tuple[str, str], list[str]] = {}
    for (meaning, kind), row in outcomes.items():
        rows.setdefault((meaning, " | ".join(row.get(column, "-") for column in columns)), []).append(kind)
    lines += [f"| {meaning} | {', '.join(types)} | {cells} |" for (meaning, cells), types in rows.items()]
    return "\n".join(lines) + "\n"
