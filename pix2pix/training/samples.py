"""Sample pictures of a training: input, output and target side by side, and the outputs over time.

The outputs of an evaluation are kept as one strip under the training's state; the published pictures are composed of
these strips.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pix2pix.files import is_number
from pix2pix.images.codec import Pixels, decode, encode_png

COUNT = 4
"""Pairs that are shown."""
MAX_STRIPS = 6
"""Evaluations that ``over_time.png`` shows at most, the last one included."""
GAP = 4
"""White pixels between pictures."""


def grid(rows: list[list[Pixels]]) -> Pixels:
    """Arrange pictures of one size, uint8 ``[H, W, 1 or 3]``, in rows on white: uint8 ``[h, w, 3]``."""
    height, width = rows[0][0].shape[:2]
    lines, columns = len(rows), len(rows[0])
    page = np.full((lines * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            page[i * (height + GAP) :, j * (width + GAP) :][:height, :width] = picture
    return page


def keep(state: Path, step: int, outputs: Pixels) -> None:
    """Keep the outputs of a step, uint8 ``[N, H, W, 1 or 3]``, as one column of RGB pictures."""
    encode_png(np.concatenate(list(np.repeat(outputs, 3 // outputs.shape[-1], -1))), _strip(state, step))


def is_kept(state: Path, step: int) -> bool:
    """Return whether the outputs of a step are kept."""
    return _strip(state, step).exists()


def remove_after(state: Path, step: int) -> None:
    """Remove the outputs of steps after `step`."""
    for path in state.glob("*.png"):
        if is_number(path.stem) and int(path.stem) > step:
            path.unlink()


def publish(state: Path, folder: Path, inputs: Pixels, targets: Pixels) -> list[int]:
    """Write ``grid.png`` (input, last output, target) and ``over_time.png`` (input, outputs, target).

    Args:
        state: folder of the kept outputs; holds at least one strip.
        folder: for the pictures.
        inputs: uint8 ``[N, H, W, 3]``.
        targets: uint8 ``[N, H, W, 1 or 3]``.

    Returns:
        the steps that ``over_time.png`` shows, from left to right.
    """
    paths = sorted(path for path in state.glob("*.png") if is_number(path.stem))
    shown = [paths[i] for i in sorted({round(i) for i in np.linspace(0, len(paths) - 1, min(MAX_STRIPS, len(paths)))})]
    strips = [np.split(decode(path), len(inputs)) for path in shown]
    rows = [[a, *(strip[n] for strip in strips), b] for n, (a, b) in enumerate(zip(inputs, targets, strict=True))]
    encode_png(grid(rows), folder / "over_time.png")
    encode_png(grid([[row[0], row[-2], row[-1]] for row in rows]), folder / "grid.png")
    return [int(path.stem) for path in shown]


def _strip(state: Path, step: int) -> Path:
    return state / f"{step:010d}.png"
