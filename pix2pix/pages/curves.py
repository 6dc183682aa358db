"""Line charts as inline SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 320, 170
"""Size of a chart, in units of its view box."""
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 14, 22
"""Margins, for the labels of the axes."""
COLOURS = ("var(--one, #0b62c4)", "var(--two, #b3470a)")
DASHES = ("none", "5 3")
"""Curves also differ in dashes, for print and for readers who cannot distinguish the colours."""


@dataclass(frozen=True)
class Curve:
    """A line of a chart: its label and its points, x ascending."""

    label: str
    points: Sequence[tuple[float, float]]


def draw(curves: Sequence[Curve]) -> Markup:
    """Draw curves in one chart.

    Args:
        curves: points that are not finite are left out.

    Returns:
        an ``<svg>`` element, safe to include in a page since labels are escaped.
    """
    clean = [[(x, y) for x, y in curve.points if math.isfinite(x) and math.isfinite(y)] for curve in curves]
    xs = [x for points in clean for x, _ in points] or [0.0]
    ys = [y for points in clean for _, y in points] or [0.0]
    low, high, ticks = _scale(min(ys), max(ys))
    left, right = min(*xs, 0.0), max(*xs, 1.0)

    def place(x: float, y: float) -> str:
        across = LEFT + (x - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        up = HEIGHT - BOTTOM - (y - low) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return f"{across:.1f},{up:.1f}"

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(_description(curves))}">']
    for tick in ticks:
        y = place(left, tick).split(",")[1]
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="var(--line, #d9dde5)" fill="none"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:g}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">{left:,.0f}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">step {right:,.0f}</text>')
    for n, (curve, points) in enumerate(zip(curves, clean, strict=True)):
        colour, dash = COLOURS[n % len(COLOURS)], DASHES[n % len(DASHES)]
        line = " ".join(place(x, y) for x, y in points)
        style = f'fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}"'
        if len(points) == 1:
            across, up = line.split(",")
            parts.append(f'<circle cx="{across}" cy="{up}" r="3" fill="{colour}"/>')
        else:
            parts.append(f'<polyline points="{line}" {style}/>')
        if len(curves) > 1:
            position = f'x="{WIDTH - RIGHT}" y="{TOP + 12 * n - 3}" text-anchor="end"'
            parts.append(f'<text {position} style="fill: {colour}">{html.escape(curve.label)}</text>')
    return Markup("".join([*parts, "</svg>"]))


def _scale(low: float, high: float) -> tuple[float, float, list[float]]:
    """Return round numbers around a range: the lowest, the highest, and all ticks."""
    span = high - low or abs(high) or 1.0
    rough = span / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= rough)
    first, last = math.floor(low / step), math.ceil(high / step)
    if first == last:
        last += 1
    return first * step, last * step, [round(n * step, 10) for n in range(first, last + 1)]


def _description(curves: Sequence[Curve]) -> str:
    """Describe curves for readers who do not see them."""
    ends = [
        f"{curve.label} from {curve.points[0][1]:.4g} to {curve.points[-1][1]:.4g}" for curve in curves if curve.points
    ]
    return "; ".join(ends) or "no data"
