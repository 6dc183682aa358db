"""Draws the label map of a facade, which holds everything about the facade that is random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pix2pix.images.codec import Pixels

SKY = (0, 128, 255)
PLASTER = (255, 255, 0)
BRICK = (255, 0, 0)
STONE = (128, 255, 255)
WINDOW = (0, 0, 255)
FRAME = (255, 255, 255)
DOOR = (128, 128, 0)
CORNICE = (255, 255, 128)
SILL = (0, 255, 255)
BALCONY = (0, 0, 0)
SHUTTER = (0, 128, 0)
AWNING = (255, 0, 255)
PILLAR = (128, 255, 128)
SHOP = (0, 128, 128)
ROOF = (128, 0, 0)
PAVEMENT = (128, 128, 128)

CLASSES = {
    "sky": SKY,
    "plaster": PLASTER,
    "brick": BRICK,
    "stone": STONE,
    "window": WINDOW,
    "frame": FRAME,
    "door": DOOR,
    "cornice": CORNICE,
    "sill": SILL,
    "balcony": BALCONY,
    "shutter": SHUTTER,
    "awning": AWNING,
    "pillar": PILLAR,
    "shop": SHOP,
    "roof": ROOF,
    "pavement": PAVEMENT,
}
"""Class -> its colour in a label map, sRGB; any two differ by at least half of the range in some channel."""

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Style:
    """The repeated parts of a facade; lengths are shares of the picture's side."""

    wall: Colour
    window_width: float
    window_height: float
    arched: bool
    shutters: bool
    sills: bool
    string_courses: bool


class _Sheet:
    """A label map being drawn; coordinates are shares of its side, x to the right, y down."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.pixels = np.empty((size, size, 3), np.uint8)
        self.pixels[:] = SKY
        middle = (np.arange(size) + 0.5) / size
        self.x, self.y = middle[np.newaxis, :], middle[:, np.newaxis]

    def at_least_a_pixel(self, share: float) -> float:
        """Return a length, or that of one pixel if it is longer."""
        return max(share, 1 / self.size)

    def box(self, colour: Colour, left: float, top: float, right: float, bottom: float) -> None:
        """Fill a rectangle whose edges are rounded to whole pixels."""
        x0, y0, x1, y1 = (max(0, round(edge * self.size)) for edge in (left, top, right, bottom))
        self.pixels[y0:y1, x0:x1] = colour

    def arch(self, colour: Colour, left: float, top: float, right: float, bottom: float) -> None:
        """Fill a rectangle whose upper end is half an ellipse; nothing if it has no area."""
        if right <= left or bottom <= top:
            return
        radius = (right - left) / 2
        rise = min(radius, (bottom - top) / 2)
        self.box(colour, left, top + rise, right, bottom)
        inside = ((self.x - left - radius) / radius) ** 2 + ((self.y - top - rise) / rise) ** 2 <= 1
        self.pixels[inside & (self.y <= top + rise)] = colour

    def trapezium(self, colour: Colour, left: float, top: float, right: float, bottom: float, inset: float) -> None:
        """Fill a trapezium whose top is narrower by `inset` on each side."""
        share = (bottom - self.y) / (bottom - top)
        inside = (self.y >= top) & (self.y < bottom)
        self.pixels[inside & (self.x >= left + share * inset) & (self.x < right - share * inset)] = colour


def draw_labels(size: int, rng: np.random.Generator) -> Pixels:
    """Draw the label map of one facade.

    Args:
        size: height and width, pixels; the parts can be recognized from 32 up.
        rng: source of every choice, in an order that does not depend on `size`.

    Returns:
        uint8 ``[size, size, 3]`` in the colours of `CLASSES`.
    """
    sheet = _Sheet(size)
    left = rng.choice([0.0, rng.uniform(0.04, 0.12)])
    right = 1 - rng.choice([0.0, rng.uniform(0.04, 0.12)])
    ground = rng.uniform(0.93, 0.955)
    floors = int(rng.choice([1, 2, 3], p=[0.25, 0.5, 0.25]))
    bays = int(rng.choice([3, 4], p=[0.65, 0.35]))
    eaves = rng.uniform(0.14, 0.24)
    storey = (ground - eaves) / (floors + 1)
    bay = (right - left) / bays
    style = _style(rng, storey, bay)

    _roof(sheet, rng, left, right, eaves, bay, bays)
    sheet.box(style.wall, left, eaves, right, ground)
    sheet.box(PAVEMENT, 0, ground, 1, 1)
    if rng.random() < 0.3:
        for edge in (left, right - 0.045):
            sheet.box(PILLAR, edge, eaves, edge + 0.045, ground)
    sheet.box(CORNICE, left - 0.015, eaves - 0.02, right + 0.015, eaves + 0.025)

    with_balcony = set(np.flatnonzero(rng.random(floors) < 0.4).tolist())
    long_balconies = rng.random() < 0.3
    for floor in range(floors):
        top = eaves + floor * storey
        if style.string_courses and floor:
            sheet.box(CORNICE, left, top, right, top + sheet.at_least_a_pixel(0.014))
        for column in range(bays):
            _window(sheet, style, left + (column + 0.5) * bay, top + 0.22 * storey)
        if floor in with_balcony:
            _balconies(sheet, rng, left, top + storey, bay, bays, long_balconies)
    _ground_floor(sheet, rng, style, left, ground - storey, ground, bay, bays)
    return sheet.pixels


def _style(rng: np.random.Generator, storey: float, bay: float) -> _Style:
    wall = [PLASTER, BRICK, STONE][int(rng.choice(3, p=[0.45, 0.35, 0.2]))]
    shutters = bool(rng.random() < 0.4) and bay > 0.17
    return _Style(
        wall=wall,
        window_width=bay * rng.uniform(0.36, 0.44 if shutters else 0.58),
        window_height=storey * rng.uniform(0.52, 0.66),
        arched=bool(rng.random() < 0.3),
        shutters=shutters,
        sills=bool(rng.random() < 0.8),
        string_courses=bool(rng.random() < 0.5),
    )


def _roof(
    sheet: _Sheet, rng: np.random.Generator, left: float, right: float, eaves: float, bay: float, bays: int
) -> None:
    top = eaves - rng.uniform(0.09, 0.13)
    inset = rng.choice([0.0, 0.03, rng.uniform(0.08, 0.16)])
    for place in rng.uniform(0.2, 0.8, size=int(rng.integers(1, 3))):
        middle = left + place * (right - left)
        sheet.box(BRICK, middle - 0.025, top - 0.05, middle + 0.025, eaves)
    sheet.trapezium(ROOF, left, top, right, eaves, inset)
    if rng.random() < 0.6:
        for column in range(int(rng.integers(0, 2)), bays, 2):
            middle = left + (column + 0.5) * bay
            if left + inset < middle - 0.05 and middle + 0.05 < right - inset:
                sheet.arch(CORNICE, middle - 0.045, top + 0.005, middle + 0.045, eaves - 0.02)
                _framed(sheet, False, middle - 0.03, top + 0.03, middle + 0.03, eaves - 0.02)


def _window(sheet: _Sheet, style: _Style, middle: float, top: float) -> None:
    half, bottom = style.window_width / 2, top + style.window_height
    if style.shutters:
        sheet.box(SHUTTER, middle - 1.75 * half, top, middle + 1.75 * half, bottom)
    _framed(sheet, style.arched, middle - half, top, middle + half, bottom)
    if style.sills:
        sheet.box(SILL, middle - 1.25 * half, bottom, middle + 1.25 * half, bottom + sheet.at_least_a_pixel(0.016))


def _framed(sheet: _Sheet, arched: bool, left: float, top: float, right: float, bottom: float) -> None:
    """Draw the panes of a window in their frame."""
    # Measured in whole pixels from the upper left corner, so that all windows of a facade are alike.
    size = sheet.size
    x, y, across, down = (round(length * size) for length in (left, top, right - left, bottom - top))
    frame, bar = max(1, round(0.013 * size)), max(1, round(0.009 * size))

    def fill(colour: Colour, x0: int, y0: int, x1: int, y1: int, curved: bool = False) -> None:
        draw = sheet.arch if curved else sheet.box
        draw(colour, (x + x0) / size, (y + y0) / size, (x + x1) / size, (y + y1) / size)

    fill(FRAME, 0, 0, across, down, curved=arched)
    fill(WINDOW, frame, frame, across - frame, down - frame, curved=arched)
    mullion = bar + (across - bar) % 2  # of the same parity as the width, so that it is exactly in the middle
    if across >= 5 * mullion + 2:
        fill(FRAME, (across - mullion) // 2, frame, (across + mullion) // 2, down - frame)
    if down >= 9 * bar:
        transom = round(0.36 * down)
        fill(FRAME, frame, transom, across - frame, transom + bar)


def _balconies(
    sheet: _Sheet, rng: np.random.Generator, left: float, foot: float, bay: float, bays: int, long: bool
) -> None:
    top, bottom = foot - 0.075, foot - 0.005
    if long:
        sheet.box(BALCONY, left + 0.25 * bay, top, left + (bays - 0.25) * bay, bottom)
        return
    chosen = rng.random(bays) < 0.6
    for column in np.flatnonzero(chosen):
        middle = left + (column + 0.5) * bay
        sheet.box(BALCONY, middle - 0.42 * bay, top, middle + 0.42 * bay, bottom)


def _ground_floor(
    sheet: _Sheet,
    rng: np.random.Generator,
    style: _Style,
    left: float,
    top: float,
    ground: float,
    bay: float,
    bays: int,
) -> None:
    sheet.box(CORNICE, left, top, left + bays * bay, top + sheet.at_least_a_pixel(0.02))
    entrance = int(rng.integers(0, bays))
    shop = rng.random() < 0.5
    height = ground - top
    for column in range(bays):
        middle = left + (column + 0.5) * bay
        if column == entrance:
            door = min(0.075, 0.36 * bay)
            sheet.arch(CORNICE, middle - 1.35 * door, top + 0.16 * height, middle + 1.35 * door, ground)
            sheet.arch(DOOR, middle - door, top + 0.26 * height, middle + door, ground)
        elif shop:
            sheet.box(SHOP, middle - 0.43 * bay, top + 0.4 * height, middle + 0.43 * bay, ground - 0.02)
            sheet.box(AWNING, middle - 0.46 * bay, top + 0.2 * height, middle + 0.46 * bay, top + 0.45 * height)
        else:
            _window(sheet, style, middle, top + 0.24 * height)
