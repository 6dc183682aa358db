"""Finds the faults of A|B pairs: each pair alone, and against the majority of its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pix2pix.datasets.checks.pair_statistics import HalfStatistics, PairStatistics
from pix2pix.datasets.near_duplicates import BITS, HalfOutlines, Indices, near_copies
from pix2pix.datasets.pair_notes import MAX_DISTORTION, distortion

BLANK, SWAPPED, MIRRORED, SHIFTED = "BLANK", "SWAPPED", "MIRRORED", "SHIFTED"
WRONG_PARTNER, LEAK, DUPLICATE, POLARITY = "WRONG_PARTNER", "LEAK", "DUPLICATE", "POLARITY"
PALETTE, ENLARGED, ASPECT, MIXED_SIZE = "PALETTE", "ENLARGED", "ASPECT", "MIXED_SIZE"

REMEDIES = {
    BLANK: "remove the pair, or replace the empty half",
    LEAK: "keep both on one side of the split, or remove one; the measured quality is too good otherwise",
    WRONG_PARTNER: "pair A with its own B; check the file names on both sides from here on",
    SWAPPED: "exchange the halves",
    MIRRORED: "mirror one half left-right",
    SHIFTED: "align the halves, or cut the pair in the right place",
    POLARITY: "invert the half, so that all pairs have the same background",
    ASPECT: "check that the file is an A|B pair; `pix2pix pairs` makes pairs out of pictures",
    PALETTE: "save label maps as PNG, resize them by nearest neighbour, and use the same colours in all",
    DUPLICATE: "remove one of them",
    ENLARGED: "replace it by the original in full resolution, or remove it",
    MIXED_SIZE: "bring all pairs to one size with `pix2pix pairs`",
}
"""Code of a fault -> what to do about it."""

SEVERITY = dict(zip(REMEDIES, np.linspace(1, 0.45, len(REMEDIES)).round(2).tolist(), strict=True))
"""Code of a fault -> score of a certain one; the order of `REMEDIES` is the order of harm."""

FEWEST = 8
"""Pairs below which there is no majority to compare with."""

SAMPLE = 256
"""Other pairs at most with which each A is compared, to see whether its own B fits best."""


@dataclass(frozen=True)
class PairFault:
    """A fault of one pair.

    Attributes:
        path: of the pair, relative to the folder.
        code: key of `REMEDIES`, or the code of a file that cannot be read (`pix2pix.images.rejections`).
        what: the fault, with the figures that decided.
        remedy: what to do.
        score: 0 to 1: how harmful the fault is, and how certain; the worst is 1.
        other: path of the other pair of a duplicate or leak, else empty.
    """

    path: str
    code: str
    what: str
    remedy: str
    score: float
    other: str = ""


def find_faults(
    pairs: Sequence[PairStatistics], sides: Sequence[str], model: tuple[int, int] = (256, 256)
) -> list[PairFault]:
    """Find the faults of a folder of pairs, worst first; faults of equal score in the order of `pairs`.

    A pair has one finding of its content at most (the first of blank, swapped, polarity, mirrored, shifted, wrong
    partner), and any number of others.

    Args:
        pairs: all pairs of the folder, in byte order of their paths.
        sides: of each pair, the part of the split that it belongs to, e.g. ``train``.
        model: height and width of the model's pictures; only their ratio matters.
    """
    content = _content_faults(pairs)
    findings = list(content.values())
    blank = {path for path, finding in content.items() if finding.code == BLANK}
    moved = {path for path, finding in content.items() if finding.code == SWAPPED}
    full = [(pair, side) for pair, side in zip(pairs, sides, strict=True) if pair.path not in blank]
    usual = [pair for pair, _ in full if pair.path not in moved]
    findings += _duplicates(full)
    findings += _off_palette(usual)
    findings += _enlarged(usual)
    findings += _shapes(pairs, model)
    return sorted(findings, key=lambda finding: -finding.score)


def _fault(pair: PairStatistics, code: str, what: str, certainty: float = 1.0, other: str = "") -> PairFault:
    """Make a fault; `certainty` is clipped to 0.5 to 1 and scales the severity of the code."""
    score = SEVERITY[code] * min(1.0, max(0.5, certainty))
    return PairFault(pair.path, code, what, REMEDIES[code], round(score, 3), other)


def _content_faults(pairs: Sequence[PairStatistics]) -> dict[str, PairFault]:
    found = {pair.path: blank for pair in pairs if (blank := _blank(pair))}
    for find in (_swapped, _inverted, _misaligned):
        rest = [pair for pair in pairs if pair.path not in found]
        if len(rest) >= FEWEST:
            found.update((fault.path, fault) for fault in find(rest))
    return found


def _blank(pair: PairStatistics) -> PairFault | None:
    for name, half in (("A", pair.a), ("B", pair.b)):
        if half.deviation < 2:
            return _fault(pair, BLANK, f"{name} is constant (standard deviation {half.deviation:.1f} of 255)")
    return None


def _swapped(pairs: Sequence[PairStatistics]) -> Iterator[PairFault]:
    """Compare how A and B of each pair differ in look with how they usually do."""
    difference = np.array([pair.a.look - pair.b.look for pair in pairs])
    usual = np.median(difference, axis=0)
    spread = 1.4826 * np.median(np.abs(difference - usual), axis=0) + 0.02
    # Fisher's discriminant between `usual` and its negative, with a diagonal covariance.
    weights = usual / spread**2
    separation = float(np.sqrt(usual @ weights))
    if separation < 2:
        return  # A and B look alike, as in day and night
    place = difference @ weights / separation**2  # 1 for the usual pair, -1 for it swapped
    for pair, where in zip(pairs, place, strict=True):
        if where < -0.4:
            what = f"A looks as B does in the other pairs, and B as A (likeness {where:+.2f}; usual is +1)"
            yield _fault(pair, SWAPPED, what, -float(where))


def _inverted(pairs: Sequence[PairStatistics]) -> Iterator[PairFault]:
    usual = float(np.median([pair.luma for pair in pairs]))
    drawings = {name: _background(half) for name, half in _halves(pairs).items()}
    for index, pair in enumerate(pairs):
        if abs(usual) >= 0.5 and pair.luma * np.sign(usual) < -0.4:
            what = f"bright and dark are exchanged (correlation of A and B {pair.luma:+.2f}, usually {usual:+.2f})"
            yield _fault(pair, POLARITY, what, abs(pair.luma))
            continue
        for name, (is_drawing, brightness) in drawings.items():
            majority = float(np.median(brightness))
            if np.mean(is_drawing) > 0.5 and is_drawing[index] and (brightness[index] - 0.5) * (majority - 0.5) < 0:
                here, there = ("black", "white") if brightness[index] < 0.5 else ("white", "black")
                yield _fault(pair, POLARITY, f"{name} is drawn on {here}, most others on {there}")
                break


def _halves(pairs: Sequence[PairStatistics]) -> dict[str, list[HalfStatistics]]:
    return {"A": [pair.a for pair in pairs], "B": [pair.b for pair in pairs]}


def _background(halves: Sequence[HalfStatistics]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which halves are line drawings (nearly all pixels black or white, most of them one), and their brightness."""
    brightness, extreme = (np.array([half.look[feature] for half in halves]) for feature in (0, 3))
    return (extreme > 0.9) & (np.abs(brightness - 0.5) > 0.3), brightness


def _misaligned(pairs: Sequence[PairStatistics]) -> Iterator[PairFault]:
    ranks = _ranks(pairs)
    usual = float(np.median([pair.registration.aligned for pair in pairs]))
    if usual < 0.2 or float(np.median(ranks)) > 0.02:
        return  # the halves of this folder do not share outlines
    for pair, rank in zip(pairs, ranks, strict=True):
        fit = pair.registration
        if fit.mirrored > fit.aligned + 0.04 and fit.mirrored > max(0.5 * usual, fit.shifted):
            what = f"B fits A better mirrored (outlines correlate {fit.mirrored:.2f}, as they are {fit.aligned:.2f})"
            yield _fault(pair, MIRRORED, what, fit.mirrored / usual)
        elif max(map(abs, fit.shift)) > 0.02 and fit.shifted > max(fit.aligned + 0.1, 0.55 * usual):
            across, down = (f"{share:+.1%}" for share in fit.shift)
            what = (
                f"B is shifted against A by {across} to the right and {down} down"
                f" (outlines correlate {fit.shifted:.2f} there, as they are {fit.aligned:.2f})"
            )
            yield _fault(pair, SHIFTED, what, fit.shifted / usual)
        elif fit.aligned < 0.55 * usual and rank > 0.02:
            what = (
                f"outlines of A and B correlate {fit.aligned:.2f}, usually {usual:.2f};"
                f" {rank:.0%} of the other B fit A better"
            )
            yield _fault(pair, WRONG_PARTNER, what, 1 - fit.aligned / usual)


def _ranks(pairs: Sequence[PairStatistics]) -> NDArray[np.float64]:
    """For each A, the share of other B's whose outlines fit better than its own."""
    a, b = (np.stack([half.outlines.ravel() for half in halves]) for halves in _halves(pairs).values())
    own = (a * b).sum(axis=1)
    others = np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), SAMPLE)).astype(int))
    return (a @ b[others].T > own[:, None] + 1e-6).mean(axis=1)


def _duplicates(pairs: Sequence[tuple[PairStatistics, str]]) -> Iterator[PairFault]:
    """Report each pair that nearly equals an earlier one: the first such on the other side of the split, if any."""
    if not pairs:
        return
    sides = np.array([side for _, side in pairs])
    origin, bits = np.full(len(pairs), -1), np.zeros(len(pairs), int)

    def outlines_of(indices: Indices) -> HalfOutlines:
        halves = [(pairs[index][0].a, pairs[index][0].b) for index in indices]
        left, right = (np.stack([half.outlines.ravel() for half in column]) for column in zip(*halves, strict=True))
        return left, right

    for first, later, distances in near_copies(np.stack([pair.b.hash for pair, _ in pairs]), outlines_of):
        crosses = (sides[later] != sides[first]) & (sides[origin[later]] == sides[later])
        better = (origin[later] < 0) | crosses
        origin[later[better]], bits[later[better]] = first, distances[better]
    for second in np.flatnonzero(origin >= 0).tolist():
        (original, side), (copy, other_side) = pairs[origin[second]], pairs[second]
        alike = f"{bits[second]} of {BITS} bits of the perceptual hash differ"
        share = 1 - float(bits[second]) / BITS
        if side == other_side:
            yield _fault(copy, DUPLICATE, f"nearly equals {original.path} ({alike})", share, original.path)
        else:
            what = f"in {other_side}, nearly equals {original.path} in {side} ({alike})"
            yield _fault(copy, LEAK, what, share, original.path)


def _off_palette(pairs: Sequence[PairStatistics]) -> Iterator[PairFault]:
    """Report label maps with colours that hardly any other has, where at least 80 % of the halves keep to a palette."""
    for name, halves in _halves(pairs).items():
        maps = [half.colours for half in halves if half.colours is not None]
        if len(pairs) < FEWEST or len(maps) < 0.8 * len(pairs):
            continue
        uses = Counter(colour for colours in maps for colour in colours)
        palette = {colour for colour, count in uses.items() if count > max(1, 0.01 * len(pairs)) and colour >= 0}
        faults = [
            _fault(pair, PALETTE, what, certainty)
            for pair, half in zip(pairs, halves, strict=True)
            for what, certainty in _strange_colours(name, half, palette)
        ]
        # Small or flat photographs can look like label maps, but have no palette in common.
        if len(faults) <= 0.2 * len(pairs):
            yield from faults


def _strange_colours(name: str, half: HalfStatistics, palette: Set[int]) -> Iterator[tuple[str, float]]:
    if half.colours is None:
        yield f"{name} is not a label map: it has gradients or noise, the others do not", 1.0
        return
    strange = {colour: share for colour, share in half.colours.items() if colour not in palette}
    share = sum(strange.values())
    if share > 0.005:
        example = next((f", such as #{colour:06x}" for colour in strange if colour >= 0), "")
        yield f"{share:.1%} of {name} has colours outside the palette of the other pairs{example}", 0.5 + share


def _enlarged(pairs: Sequence[PairStatistics]) -> Iterator[PairFault]:
    """Report halves with less fine detail than the others; label maps and line drawings have none to compare."""
    for name, halves in _halves(pairs).items():
        pictures = [half.colours is None for half in halves]
        if len(pairs) < FEWEST or np.mean(pictures) < 0.5:
            continue
        detail = np.array([half.detail for half in halves])
        usual = float(np.median(detail))
        least = usual - max(0.7, 4 * 1.4826 * float(np.median(np.abs(detail - usual))))
        repeats = float(np.median([half.repeated for half in halves]))
        for pair, half in zip(pairs, halves, strict=True):
            if half.repeated > repeats + 0.3:
                what = f"{name} was enlarged by nearest neighbour: {half.repeated:.0%} of its rows or columns repeat"
                yield _fault(pair, ENLARGED, what)
            elif half.detail < least:
                what = f"{name} has {10 ** (usual - half.detail):.0f} times less fine detail than usual"
                yield _fault(pair, ENLARGED, what, (usual - half.detail) / (usual - least) / 2)


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _shapes(pairs: Sequence[PairStatistics], model: tuple[int, int]) -> Iterator[PairFault]:
    if not pairs:
        return
    usual, count = Counter(pair.shape for pair in pairs).most_common(1)[0]
    for pair in pairs:
        factor = distortion(pair.shape, model)
        if factor > MAX_DISTORTION:
            what = f"halves of {_size(pair.shape)} are far from the model's {_size(model)}; scaling distorts them"
            yield _fault(pair, ASPECT, what, factor / MAX_DISTORTION / 2)
        elif pair.shape != usual and count > len(pairs) / 2:
            yield _fault(pair, MIXED_SIZE, f"halves of {_size(pair.shape)}, most others have {_size(usual)}")
