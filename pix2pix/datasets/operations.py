"""Makes A|B pairs, or their A alone, from folders of pictures.

It exists so that a folder of photographs becomes something to train on with one command.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix.datasets.batch_convert import Mirrored, mirror
from pix2pix.datasets.resize import canvas, fit, scaled
from pix2pix.errors import InputError, PictureError
from pix2pix.images.codec import load
from pix2pix.images.folders import check_apart, check_spared, survey
from pix2pix.images.header import read_file
from pix2pix.images.names import assign_outputs
from pix2pix.images.rejections import BAD_PAIR, UNPAIRED, Rejection
from pix2pix.progress import Progress, silent

OPERATIONS = {
    "edges": "A is a line drawing of B, the photograph",
    "grayscale": "A is B without its colours",
    "blank": "A is B with a white square, 0.3 of its side, in the middle",
    "combine": "A is the picture of INPUT, B the one of the same name in the target folder",
    "resize": "no pairs: the pictures alone, resized",
}
"""Name of an operation -> what it makes."""

BLANK = 0.3
"""Side of the square that `blank` leaves white, as a share of the picture's."""


@dataclass(frozen=True)
class Operation:
    """What to make of each picture.

    Attributes:
        name: one of `OPERATIONS`.
        size: height of the result and width of each half, pixels; None, for ``combine`` alone, keeps the pictures as
            they are and then requires A and B to be of one size.
        fit: ``crop`` or ``pad``, as in `pix2pix.datasets.resize.fit`; a padded line drawing is padded with white.
        only_input: whether A is written alone, for pictures to generate from.
        labels: whether A is a label map (INPUT of ``combine`` and ``resize``): nearest neighbour.
        target_labels: whether B is, for ``combine``.
    """

    name: str
    size: int | None = 256
    fit: str = "crop"
    only_input: bool = False
    labels: bool = False
    target_labels: bool = False

    def __post_init__(self) -> None:
        if self.name not in OPERATIONS:
            raise InputError(f"unknown operation {self.name}; allowed: {', '.join(OPERATIONS)}")
        if self.size is None and self.name != "combine":
            raise InputError(f"the operation {self.name} needs a size")
        if self.size is not None and not 8 <= self.size <= 4096:
            raise InputError(f"size = {self.size} cannot be used; allowed: 8 to 4096")


def operate(
    operation: Operation,
    source: Path,
    target: Path,
    *,
    partners: Path | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Mirrored:
    """Carry an operation out on every picture of a folder.

    Args:
        operation: what to make.
        source: folder with pictures, however deep.
        target: folder for the results, ``.png`` under the same paths.
        partners: for ``combine``, the folder with B under the same paths; endings may differ.
        workers: threads; None means one per core.
        progress: told after each picture.

    Returns:
        what was written and rejected. A picture without its counterpart is ``UNPAIRED``, on either side; B's have
        their path in `partners`.

    Raises:
        InputError: a folder is missing or without pictures, or `partners` does not go with the operation.
        OSError: `target` cannot be written.
    """
    if (operation.name == "combine") != (partners is not None):
        wanted = "needs" if operation.name == "combine" else "takes no"
        raise InputError(f"the operation {operation.name} {wanted} target folder (--target)")
    if partners is None:
        alone = _maker(operation)

        def make(path: str) -> Image.Image:
            return alone(read_file(source / path))

        return mirror(source, target, make, workers=workers, progress=progress)
    return _combine(operation, source, target, partners, workers, progress)


def _maker(operation: Operation) -> Callable[[bytes], Image.Image]:
    """Choose what makes one result from one file's content."""
    size = (operation.size or 0, operation.size or 0)

    def photograph(data: bytes) -> Image.Image:
        loaded = load(data, at_least=None if operation.labels else size)
        return scaled(loaded, size, operation.fit, operation.labels)

    if operation.name == "edges":
        # Loaded here, so that only who draws lines waits for OpenCV, and waits before the threads begin.
        from pix2pix.datasets.edges import draw_edges

    def make(data: bytes) -> Image.Image:
        b = photograph(data)
        if operation.name == "resize":
            return canvas(b, size)
        if operation.name == "edges":
            drawing = draw_edges(np.asarray(b))[..., 0]
            a = canvas(Image.fromarray(drawing).convert("RGB"), size, "white")
        elif operation.name == "grayscale":
            a = canvas(b.convert("L").convert("RGB"), size)
        else:
            a = _blanked(canvas(b, size))
        return a if operation.only_input else side_by_side(a, canvas(b, size))

    return make


def _blanked(picture: Image.Image) -> Image.Image:
    side = int(picture.width * BLANK)
    corner = int(picture.width / 2 - side / 2)
    blanked = picture.copy()
    blanked.paste("white", (corner, corner, corner + side, corner + side))
    return blanked


def _combine(
    operation: Operation, source: Path, target: Path, partners: Path, workers: int | None, progress: Progress
) -> Mirrored:
    check_apart(partners, target)
    beside = survey(partners).required()
    counterparts, refused = assign_outputs(beside.pictures)
    by_output = {output: path for path, output in counterparts.items()}
    outputs, _ = assign_outputs(survey(source).required().pictures)
    check_spared(partners, target, outputs.values())

    def make(path: str) -> Image.Image:
        other = by_output.get(outputs[path])
        if other is None:
            raise PictureError(UNPAIRED, f"{partners} has no picture of this name")
        a = _half(read_file(source / path), operation, operation.labels)
        if operation.only_input:
            return a
        try:
            b = _half(read_file(partners / other), operation, operation.target_labels)
        except PictureError as error:
            raise PictureError(error.code, f"its counterpart {other}: {error.reason}") from error
        if a.size != b.size:
            sizes = f"{a.width}x{a.height} and {b.width}x{b.height}"
            raise PictureError(BAD_PAIR, f"A and B are of different sizes ({sizes}); give a size to bring both to it")
        return side_by_side(a, b)

    made = mirror(source, target, make, workers=workers, progress=progress)
    wanted = set(outputs.values())
    alone = [path for path, output in counterparts.items() if output not in wanted]
    return replace(
        made,
        rejected=(
            *made.rejected,
            *refused,
            *(Rejection(each.path, each.code, f"in {partners}; {each.reason}") for each in beside.left_out),
            *(Rejection(path, UNPAIRED, f"in {partners}; {source} has no picture of this name") for path in alone),
        ),
    )


def _half(data: bytes, operation: Operation, labels: bool) -> Image.Image:
    if operation.size is None:
        return load(data)
    size = (operation.size, operation.size)
    return fit(load(data, at_least=None if labels else size), size, operation.fit, labels)


def side_by_side(a: Image.Image, b: Image.Image) -> Image.Image:
    """Join two pictures of one height into an A|B pair."""
    pair = Image.new("RGB", (a.width + b.width, a.height))
    pair.paste(a, (0, 0))
    pair.paste(b, (a.width, 0))
    return pair
