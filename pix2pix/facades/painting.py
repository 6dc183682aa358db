"""Paints a label map as a picture of a facade.

The picture is a function of the label map alone, so that a model can in principle learn it exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pix2pix.facades.layout import CLASSES
from pix2pix.images.codec import Pixels

HAZE = (172, 166, 158)
"""The colour that is blended into all others, more so in small pictures: small models learn soft contrasts sooner."""

Plane = np.ndarray[Any, np.dtype[Any]]


def paint(labels: Pixels) -> Pixels:
    """Paint a label map.

    Args:
        labels: uint8 ``[H, W, 3]``, colours of `CLASSES`.

    Returns:
        uint8 ``[H, W, 3]``; a pixel of another colour is unchanged.
    """
    front = _Front(labels)
    for name, painter in _PAINTERS.items():
        if front.masks[name].any():
            painter(front)
    front.cast_shadows()
    known = np.logical_or.reduce(list(front.masks.values()))
    front.picture[known] += (0.25 if front.unit < 2 else 0.1) * (np.array(HAZE) - front.picture[known])
    return np.clip(np.rint(front.picture), 0, 255).astype(np.uint8)


class _Front:
    """The masks of a label map, and the picture being painted (float, 0 to 255)."""

    def __init__(self, labels: Pixels) -> None:
        self.height, self.width = labels.shape[:2]
        self.unit = max(1.0, self.height / 64)
        self.masks = {name: (labels == np.array(colour)).all(axis=-1) for name, colour in CLASSES.items()}
        self.picture = labels.astype(np.float64)
        self.y, self.x = np.mgrid[: self.height, : self.width]

    def pixels(self, share: float) -> int:
        """Convert a length in 64ths of the picture's height to whole pixels, at least one."""
        return max(1, round(share * self.unit))

    def put(self, mask: Plane, colour: Any, shade: Plane | float = 1.0) -> None:
        """Fill the pixels of `mask` with a colour multiplied by `shade`."""
        tone = np.broadcast_to(np.asarray(shade, np.float64), mask.shape)[mask]
        self.picture[mask] = np.asarray(colour, np.float64) * tone[:, np.newaxis]

    def inside(self, name: str) -> tuple[Plane, Plane, Plane, Plane]:
        """Return, for each pixel of a class, the number of its pixels to the left, right, top and bottom edge."""
        mask = self.masks[name]
        left, right = _run(mask, 1), _run(mask[:, ::-1], 1)[:, ::-1]
        return left, right, _run(mask, 0), _run(mask[::-1], 0)[::-1]

    def cast_shadows(self) -> None:
        """Darken the pixels below parts that stand out from the wall."""
        for name, reach in (("cornice", 1.6), ("balcony", 2.2), ("sill", 1.0), ("awning", 2.0), ("roof", 1.0)):
            for step in range(1, self.pixels(reach) + 1):
                below = np.zeros_like(self.masks[name])
                below[step:] = self.masks[name][:-step]
                below &= ~self.masks[name]
                for open_air in ("sky", "roof", "cornice"):
                    below &= ~self.masks[open_air]
                self.picture[below] *= 0.8 ** (1 / self.pixels(reach))


def _run(mask: Plane, axis: int) -> Plane:
    """Return the number of set pixels directly before each pixel along an axis; 0 for the first of a run."""
    length = mask.shape[axis]
    place = np.arange(length).reshape((-1, 1) if axis == 0 else (1, -1))
    last_unset = np.maximum.accumulate(np.where(mask, -1, place), axis=axis)
    return place - last_unset - 1


def _period(front: _Front) -> int:
    """Return the period of patterns, pixels."""
    # Powers of two: strided layers can produce such a pattern without knowing the position in the picture.
    return 4 if front.unit < 3 else 8 if front.unit < 12 else 16


def _sky(front: _Front) -> None:
    depth = (front.y / (0.35 * front.height)).clip(0, 1)[..., np.newaxis]
    colour = (1 - depth) * np.array((142, 184, 226)) + depth * np.array((204, 224, 240))
    mask = front.masks["sky"]
    front.picture[mask] = colour[mask]


def _plaster(front: _Front) -> None:
    front.put(front.masks["plaster"], (226, 194, 142), _daylight(front))


def _brick(front: _Front) -> None:
    period = _period(front)
    course = front.y // period
    across = front.x + (course % 2) * period
    joint = (front.y % period >= period - _joint(period)) | (across % (2 * period) < _joint(period))
    tone = 1 + 0.03 * ((course * 7 + across // (2 * period) * 5) % 3 - 1)
    front.put(front.masks["brick"], (166, 84, 64), _daylight(front) * tone)
    front.put(front.masks["brick"] & joint, (184, 118, 100), _daylight(front))


def _stone(front: _Front) -> None:
    period = 2 * _period(front)
    course = front.y // period
    across = (front.x + (course % 2) * period) % (2 * period)
    down = front.y % period
    joint = _joint(period)
    front.put(front.masks["stone"], (188, 184, 172), _daylight(front))
    front.put(front.masks["stone"] & ((down < joint) | (across < joint)), (202, 198, 187), _daylight(front))
    edge = (down >= period - joint) | (across >= 2 * period - joint)
    front.put(front.masks["stone"] & edge, (164, 160, 149), _daylight(front))


def _joint(period: int) -> int:
    """Return the width of a joint, pixels."""
    return max(1, period // 8)


def _daylight(front: _Front) -> Plane:
    """Return the shade of a wall, brighter at the top."""
    light: Plane = 1.03 - 0.08 * front.y / front.height
    return light


def _window(front: _Front) -> None:
    _, _, top, bottom = front.inside("window")
    share = (top + 0.5) / (top + bottom + 1)
    glass = 1.15 - 0.35 * share
    if front.unit >= 2:
        left, right, _, _ = front.inside("window")
        along = (left + 0.5) / (left + right + 1) + share
        glass = np.where((along > 0.6) & (along < 1.0), glass + 0.25, glass)
    front.put(front.masks["window"], (102, 120, 140), glass)


def _frame(front: _Front) -> None:
    front.put(front.masks["frame"], (226, 222, 208))


def _shop(front: _Front) -> None:
    mask = front.masks["shop"]
    left, right, top, bottom = front.inside("shop")
    along = left + top
    sheen = ((along // front.pixels(5)) % 3 == 1) & (front.unit >= 2)
    front.put(mask, (96, 112, 112), np.where(sheen, 1.3, 1.0))
    front.put(mask & (bottom < front.pixels(2)), (84, 56, 40))
    edge = np.minimum(left, right) < front.pixels(0.8)
    front.put(mask & edge, (60, 42, 32))


def _door(front: _Front) -> None:
    mask = front.masks["door"]
    left, right, top, bottom = front.inside("door")
    width, height = left + right + 1, top + bottom + 1
    front.put(mask, (118, 72, 44), 1.1 - 0.25 * (top / height))
    across, down = (left + 0.5) / width, (bottom + 0.5) / height
    if front.unit >= 2:
        panel = (np.abs(np.abs(across - 0.5) - 0.24) < 0.13) & (np.abs(np.abs(down - 0.36) - 0.17) < 0.11)
        front.put(mask & panel, (88, 50, 30))
        front.put(mask & (np.abs(left - right) < 1 + width % 2), (66, 38, 24))
        front.put(mask & (np.minimum(np.minimum(left, right), top) < front.pixels(0.6)), (74, 44, 28))
    front.put(mask & (down > 0.74), (148, 168, 184))


def _shutter(front: _Front) -> None:
    mask = front.masks["shutter"]
    left, right, top, bottom = front.inside("shutter")
    front.put(mask, (76, 122, 98))
    if front.unit >= 2:
        front.put(mask & ((top // front.pixels(0.6)) % 2 == 1), (52, 92, 70))
        edge = np.minimum(np.minimum(left, right), np.minimum(top, bottom)) < front.pixels(0.5)
        front.put(mask & edge, (72, 124, 96))


def _balcony(front: _Front) -> None:
    mask = front.masks["balcony"]
    _, _, top, bottom = front.inside("balcony")
    pitch = 2 * front.pixels(1)
    bars = front.x % pitch < max(1, pitch // 3)
    front.put(mask, (132, 124, 112))
    front.put(mask & bars, (74, 72, 72))
    front.put(mask & (top < front.pixels(0.8)), (60, 58, 60))
    front.put(mask & (bottom < front.pixels(1.2)), (214, 206, 190))


def _cornice(front: _Front) -> None:
    mask = front.masks["cornice"]
    _, _, top, bottom = front.inside("cornice")
    share = (top + 0.5) / (top + bottom + 1)
    front.put(mask, (224, 214, 194), 1.08 - 0.22 * share)
    pitch = _period(front)
    dentil = (
        (front.x % pitch < pitch // 2) & (share > 0.5) & (top + bottom + 1 >= front.pixels(2.5)) & (front.unit >= 2)
    )
    front.put(mask & dentil, (176, 166, 148))


def _sill(front: _Front) -> None:
    front.put(front.masks["sill"], (232, 226, 212))


def _awning(front: _Front) -> None:
    mask = front.masks["awning"]
    _, _, top, bottom = front.inside("awning")
    light = 1.05 - 0.3 * (top + 0.5) / (top + bottom + 1)
    stripe = (front.x // _period(front)) % 2 == 0
    front.put(mask, (226, 204, 190), light)
    front.put(mask & stripe, (190, 70, 62), light)


def _pillar(front: _Front) -> None:
    mask = front.masks["pillar"]
    front.put(mask, (214, 206, 190), _daylight(front))
    if front.unit >= 2:
        left, right, _, _ = front.inside("pillar")
        front.put(mask, (218, 210, 194), 1.1 - 0.3 * (left + 0.5) / (left + right + 1))
        front.put(mask & (front.y % (2 * _period(front)) < _joint(2 * _period(front))), (170, 162, 148))


def _roof(front: _Front) -> None:
    period = _period(front)
    course = front.y // period
    across = (front.x + (course % 2) * (period // 2)) % period
    _, _, top, bottom = front.inside("roof")
    share = (top + 0.5) / (top + bottom + 1)
    tone = (1.1 - 0.2 * share) * np.where(front.y % period == period - 1, 0.8, 1.0) * np.where(across == 0, 0.92, 1.0)
    front.put(front.masks["roof"], (126, 72, 62), tone)


def _pavement(front: _Front) -> None:
    mask = front.masks["pavement"]
    _, _, top, _ = front.inside("pavement")
    front.put(mask, (158, 156, 152), 1.0 - 0.01 * top / front.unit)
    front.put(mask & (front.x % (2 * _period(front)) == 0), (134, 132, 128))
    front.put(mask & (top < front.pixels(0.8)), (190, 188, 184))


_PAINTERS = {
    "sky": _sky,
    "plaster": _plaster,
    "brick": _brick,
    "stone": _stone,
    "window": _window,
    "frame": _frame,
    "door": _door,
    "cornice": _cornice,
    "sill": _sill,
    "balcony": _balcony,
    "shutter": _shutter,
    "awning": _awning,
    "pillar": _pillar,
    "shop": _shop,
    "roof": _roof,
    "pavement": _pavement,
}
