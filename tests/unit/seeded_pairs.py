"""Makes folders of A|B pairs of three kinds, and puts faults into some of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from PIL import Image

from pix2pix.datasets.edges import draw_edges
from pix2pix.facades.generator import facade
from pix2pix.images.codec import Pixels, encode_png

Pair = tuple[Pixels, Pixels]
SIZE = 128


def picture(size: int, seed: int) -> Pixels:
    """A made-up photograph: shaded shapes before a shaded ground, with texture and grain."""
    random = np.random.default_rng([7, seed])
    rows, columns = np.mgrid[0:size, 0:size] / size
    ground, slope = random.uniform(40, 215, 3), random.uniform(-60, 60, (2, 3))
    canvas = ground + rows[..., None] * slope[0] + columns[..., None] * slope[1]
    for _ in range(int(random.integers(5, 10))):
        mask = np.zeros((size, size), np.uint8)
        centre = random.uniform(0.1, 0.9, 2) * size
        if random.integers(2):
            axes = tuple(int(x) for x in random.uniform(0.05, 0.25, 2) * size)
            cv2.ellipse(mask, tuple(int(x) for x in centre), axes, float(random.uniform(0, 180)), 0, 360, 1, -1)
        else:
            corners = centre + random.uniform(-0.25, 0.25, (int(random.integers(3, 6)), 2)) * size
            cv2.fillPoly(mask, [corners.astype(np.int32)], 1)
        wave = np.sin((rows * random.uniform(20, 60) + columns * random.uniform(20, 60)) * np.pi)
        shape = random.uniform(10, 245, 3) + (wave * random.uniform(0, 15))[..., None]
        canvas = np.where(mask[..., None] > 0, shape, canvas)
    return (canvas + random.normal(0, 3, canvas.shape)).clip(0, 255).astype(np.uint8)


def facades(index: int) -> Pair:
    return facade(SIZE, 1, index)


def edges(index: int) -> Pair:
    b = picture(SIZE, index)
    return np.repeat(draw_edges(b), 3, axis=-1), b


def grey(index: int) -> Pair:
    b = picture(SIZE, 100_000 + index)
    return np.repeat(cv2.cvtColor(b, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1), b


KINDS: dict[str, Callable[[int], Pair]] = {"facades": facades, "edges": edges, "grey": grey}


def swapped(pair: Pair, random: Generator) -> Pair:
    return pair[1], pair[0]


def shifted(pair: Pair, random: Generator) -> Pair:
    across, down = random.integers(4, 14, 2) * random.choice([-1, 1], 2)
    matrix = np.array([[1, 0, across], [0, 1, down]], np.float32)
    return pair[0], cv2.warpAffine(pair[1], matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)


def mirrored(pair: Pair, random: Generator) -> Pair:
    return pair[0], pair[1][:, ::-1]


def blank(pair: Pair, random: Generator) -> Pair:
    flat = np.full_like(pair[0], random.integers(0, 256))
    noise = random.integers(0, 2, flat.shape, dtype=np.uint8) if random.integers(2) else np.uint8(0)
    flat = np.minimum(flat, 254) + noise
    return (flat, pair[1]) if random.integers(2) else (pair[0], flat)


def inverted(pair: Pair, random: Generator) -> Pair:
    return 255 - pair[0], pair[1]


def blended_labels(pair: Pair, random: Generator) -> Pair:
    if random.integers(2):
        return jpeg(pair[0], 80), pair[1]
    small = cv2.resize(pair[0], (SIZE * 3 // 4, SIZE * 3 // 4), interpolation=cv2.INTER_LINEAR)
    return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC), pair[1]


def enlarged(pair: Pair, random: Generator) -> Pair:
    side = SIZE // int(random.integers(2, 5))
    small = cv2.resize(pair[1], (side, side), interpolation=cv2.INTER_AREA)
    way = [cv2.INTER_CUBIC, cv2.INTER_LINEAR, cv2.INTER_NEAREST][int(random.integers(3))]
    return pair[0], cv2.resize(small, (SIZE, SIZE), interpolation=way)


def near_copy(pair: Pair, random: Generator) -> Pair:
    """The pair again: cropped by a little, brighter or darker, and saved as JPEG."""
    cut = int(random.integers(0, 3))
    a, b = (cv2.resize(half[cut : SIZE - cut, cut : SIZE - cut], (SIZE, SIZE), interpolation=way)
            for half, way in zip(pair, (cv2.INTER_NEAREST, cv2.INTER_AREA), strict=True))  # fmt: skip
    brighter = (b.astype(np.float64) * random.uniform(0.9, 1.1)).clip(0, 255).astype(np.uint8)
    return a, jpeg(brighter, int(random.integers(60, 95)))


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


ALTERATIONS: dict[str, Callable[[Pair, Generator], Pair]] = {
    "SWAPPED": swapped,
    "SHIFTED": shifted,
    "MIRRORED": mirrored,
    "BLANK": blank,
    "POLARITY": inverted,
    "PALETTE": blended_labels,
    "ENLARGED": enlarged,
}
"""Code of a fault -> what makes it out of a good pair."""


def faults_of(kind: str) -> list[str]:
    """Eight faults that pairs of this kind can have."""
    return [code for code in ALTERATIONS if code != ("POLARITY" if kind == "facades" else "PALETTE")] + [
        "WRONG_PARTNER",
        "DUPLICATE",
    ]


def write_seeded(folder: Path, kind: str, count: int, share: float, seed: int, start: int) -> dict[str, str]:
    """Write the pairs `start`, `start` + 1, ..., a `share` of them with each of eight faults; file name -> fault."""
    random = np.random.default_rng(seed)

    def make(index: int) -> Pair:
        return KINDS[kind](start + index)

    each = max(2, round(count * share))
    order = [int(index) for index in random.permutation(count)]
    seeded = {order.pop(): code for code in faults_of(kind) for _ in range(each)}
    wrong = [index for index, code in seeded.items() if code == "WRONG_PARTNER"]
    for index in range(count):
        pair = make(index)
        code = seeded.get(index)
        if code == "WRONG_PARTNER":
            pair = pair[0], make(wrong[(wrong.index(index) + 1) % len(wrong)])[1]
        elif code == "DUPLICATE":
            pair = near_copy(make(order[index % len(order)]), random)
        elif code:
            pair = ALTERATIONS[code](pair, random)
        encode_png(np.concatenate(pair, axis=1), folder / f"{index:04d}.png")
    return {f"{index:04d}.png": code for index, code in seeded.items()}
