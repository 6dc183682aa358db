"""Measures one A|B pair: what `pix2pix.datasets.checks.pair_faults` compares between the pairs of a folder."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pix2pix.datasets.alignment import Outlines, Registration, descriptor, outlines, register
from pix2pix.datasets.near_duplicates import Hash, perceptual_hash
from pix2pix.images.codec import Pixels

MAX_COLOURS = 64
"""Colours that a label map has at most."""

MIN_FLAT = 0.5
"""Share of the pixels of a label map that equal their left neighbour, at least."""

LABEL_SHARE = 0.001
"""Share of the pixels below which a colour of a label map is not recorded."""

WINDOW = 512
"""Side of the part in the middle whose spectrum is measured, pixels."""


MIDDLE = 1024
"""Side of the part in the middle that is searched for repeated rows and label colours, pixels: it bounds the time that
a large pair takes."""


@dataclass(frozen=True)
class HalfStatistics:
    """One half of a pair.

    Attributes:
        look: float64 [6]: mean luma, contrast, share of flat pixels, share of extreme pixels (the darkest and the
            brightest eighth), mean chroma, all 0 to 1, and the entropy of luma in units of 8 bits.
        deviation: standard deviation of the samples over the picture, the largest of the channels, 0 to 127.5.
        detail: log10 of the power in the upper half of the spatial frequencies over the power in the lower half.
        repeated: share of rows or columns, whichever is less, that equal the one before: what enlarging by nearest
            neighbour leaves.
        colours: (R << 16 | G << 8 | B) -> share of the pixels, where the half is a label map; else None.
        hash: see `pix2pix.datasets.near_duplicates`.
        outlines: the descriptor; see `pix2pix.datasets.alignment`.
    """

    look: NDArray[np.float64]
    deviation: float
    detail: float
    repeated: float
    colours: dict[int, float] | None
    hash: Hash
    outlines: Outlines


@dataclass(frozen=True)
class PairStatistics:
    """One pair.

    Attributes:
        path: relative to the folder.
        shape: height and width of each half, pixels.
        a: the left half.
        b: the right half.
        registration: of the outlines of both.
        luma: correlation of the brightness of A and B, -1 to 1; 0 where one is constant.
    """

    path: str
    shape: tuple[int, int]
    a: HalfStatistics
    b: HalfStatistics
    registration: Registration
    luma: float


def measure_pair(path: str, a: Pixels, b: Pixels) -> PairStatistics:
    """Measure a pair; `a` and `b` are uint8 [H, W, 3] of one shape."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    drawn_a, drawn_b = outlines(a), outlines(b)
    return PairStatistics(
        path=path,
        shape=(a.shape[0], a.shape[1]),
        a=_measure_half(a, drawn_a),
        b=_measure_half(b, drawn_b),
        registration=register(drawn_a, drawn_b),
        luma=_luma_correlation(a, b),
    )


def _measure_half(pixels: Pixels, drawn: Outlines) -> HalfStatistics:
    middle = _middle(pixels, MIDDLE)
    return HalfStatistics(
        look=_look(pixels),
        deviation=float(cv2.meanStdDev(pixels)[1].max()),
        detail=_detail(pixels),
        repeated=_repeated(middle),
        colours=_label_colours(middle),
        hash=perceptual_hash(pixels),
        outlines=descriptor(drawn),
    )


def _middle(pixels: Pixels, side: int) -> Pixels:
    """Return the part in the middle, at most `side` pixels wide and high."""
    height, width = pixels.shape[:2]
    top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


def _look(pixels: Pixels) -> NDArray[np.float64]:
    luma = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    histogram = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel().astype(np.float64) / luma.size
    seen = histogram[histogram > 0]
    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(luma))
    red, green, blue = cv2.split(pixels)
    chroma = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return np.array(
        [
            mean / 255,
            deviation / 127.5,
            _share(luma[:, 1:] == luma[:, :-1]),
            histogram[:32].sum() + histogram[-32:].sum(),
            cv2.mean(chroma)[0] / 255,
            -(seen * np.log2(seen)).sum() / 8,
        ]
    )


def _detail(pixels: Pixels) -> float:
    luma = cv2.cvtColor(_middle(pixels, WINDOW), cv2.COLOR_RGB2GRAY).astype(np.float64)
    taper = np.outer(np.hanning(luma.shape[0] + 2)[1:-1], np.hanning(luma.shape[1] + 2)[1:-1])
    power = np.abs(np.fft.rfft2((luma - luma.mean()) * taper)) ** 2
    frequency = np.hypot(np.fft.fftfreq(luma.shape[0])[:, None], np.fft.rfftfreq(luma.shape[1])[None, :])
    high = power[frequency > 0.25].sum()
    low = power[(frequency > 0) & (frequency <= 0.25)].sum()
    return float(np.log10((high + 1e-9) / (low + 1e-9)))


def _repeated(pixels: Pixels) -> float:
    columns = _share((pixels[:, 1:] == pixels[:, :-1]).all(axis=(0, 2)))
    rows = _share((pixels[1:] == pixels[:-1]).all(axis=(1, 2)))
    return min(rows, columns)


def _share(flags: NDArray[np.bool_]) -> float:
    """Return the share of flags that are set; 0 if there are none, as in a half of one column."""
    return float(np.count_nonzero(flags) / max(1, flags.size))


def _label_colours(pixels: Pixels) -> dict[int, float] | None:
    # Gradients of grey have few colours too, but neighbours differ.
    if _share((pixels[:, 1:] == pixels[:, :-1]).all(axis=-1)) < MIN_FLAT:
        return None
    wide = pixels.astype(np.uint32)
    values, counts = np.unique(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], return_counts=True)
    shares = counts / counts.sum()
    order = np.argsort(-shares)[:MAX_COLOURS]
    if shares[order].sum() < 0.8:
        return None
    colours = {int(values[index]): float(shares[index]) for index in order if shares[index] >= LABEL_SHARE}
    # What is left over counts as one more colour, which no palette has.
    rest = 1 - sum(colours.values())
    return {**colours, -1: rest} if rest > LABEL_SHARE else colours


def _luma_correlation(a: Pixels, b: Pixels) -> float:
    # Sums, not dot products: BLAS would start threads of its own in each of the threads that measure pairs.
    x, y = (cv2.cvtColor(half, cv2.COLOR_RGB2GRAY).astype(np.float64) for half in (a, b))
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum() / scale) if scale > 0 else 0.0
