"""Sample pictures of a training: input | output | target side by side, and how the output became what it is.

It exists so that a person sees at a glance what figures do not tell. Each look at the samples is kept as one strip
under the training's state; what is published is made of these strips, under names that never change.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pix2pix.images.codec import Pixels, decode, encode_png

COUNT = 4
"""Pairs that are shown."""
LOOKS = 6
"""Looks that the picture over time shows at most, the last one included."""
GAP = 4
"""White pixels between pictures."""


def grid(rows: list[list[Pixels]]) -> Pixels:
    """Set pictures of one size, uint8 ``[H, W, 1 or 3]``, in rows: uint8 ``[h, w, 3]``."""
    height, width = rows[0][0].shape[:2]
    lines, columns = len(rows), len(rows[0])
    page = np.full((lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            page[i * (height + GAP) :, j * (width + GAP) :][:height, :width] = picture
    return page


def keep(state: Path, step: int, outputs: Pixels) -> None:
    """Keep one look: the outputs, uint8 ``[N, H, W, C]``, in a column of full pixels."""
    encode_png(np.concatenate(list(np.repeat(outputs, 3 // outputs.shape[-1], -1))), _look(state, step))


def is_kept(state: Path, step: int) -> bool:
    """Tell whether the look at a step was kept."""
    return _look(state, step).exists()


def forget_after(state: Path, step: int) -> None:
    """Remove the looks behind the step from which a run goes on."""
    for path in state.glob("*.png"):
        if int(path.stem) > step:
            path.unlink()


def publish(state: Path, folder: Path, inputs: Pixels, targets: Pixels) -> list[int]:
    """Write ``grid.png`` (input, last output, target) and ``over_time.png`` (input, outputs, target).

    Args:
        state: where the looks are; at least one.
        folder: where the pictures go.
        inputs: uint8 ``[N, H, W, 3]``.
        targets: uint8 ``[N, H, W, 1 or 3]``.

    Returns:
        the steps that ``over_time.png`` shows, from left to right.
    """
    paths = sorted(state.glob("*.png"))
    shown = [paths[i] for i in sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(LOOKS, len(paths)))})]
    looks = [np.split(decode(path), len(inputs)) for path in shown]
    rows = [[a, *(look[n] for look in looks), b] for n, (a, b) in enumerate(zip(inputs, targets, strict=True))]
    encode_png(grid(rows), folder / "over_time.png")
    encode_png(grid([[row[0], row[-2], row[-1]] for row in rows]), folder / "grid.png")
    return [int(path.stem) for path in shown]


def _look(state: Path, step: int) -> Path:
    return state / f"{step:010d}.png"
