"""Operations that make A|B pairs, or their A alone, from folders of pictures."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from pix2pix.datasets.batch_convert import Converted, convert_folder
from pix2pix.datasets.drawings import DRAWINGS
from pix2pix.errors import InputError, PictureError
from pix2pix.images.codec import load
from pix2pix.images.fitting import canvas, fit, scaled
from pix2pix.images.folders import check_apart, check_spared, survey
from pix2pix.images.header import read_file
from pix2pix.images.names import assign_outputs
from pix2pix.images.rejections import BAD_PAIR, UNPAIRED, Rejection
from pix2pix.progress import Progress, silent

OPERATIONS: Mapping[str, str] = {
    **{name: drawing.description for name, drawing in DRAWINGS.items()},
    "combine": "A is the picture of INPUT, B the one of the same name in the target folder",
    "resize": "no pairs: the pictures alone, resized",
}
"""Name of an operation -> its description."""


@dataclass(frozen=True)
class Operation:
    """What to make from each picture.

    Attributes:
        name: one of `OPERATIONS`.
        size: height of the result and width of each half, pixels, 8 to 4096. None, for ``combine`` only, keeps the
            pictures as they are and requires A and B to be of one size.
        fit: ``crop`` or ``pad``, as in `pix2pix.images.fitting.fit`; a line drawing is padded with white.
        only_input: whether A is written alone, for pictures to generate from.
        labels: whether A is a label map (INPUT of ``combine`` and ``resize``), which is scaled by nearest neighbour.
        target_labels: whether B is one, for ``combine``.
    """

    name: str
    size: int | None = 256
    fit: str = "crop"
    only_input: bool = False
    labels: bool = False
    target_labels: bool = False

    def __post_init__(self) -> None:
        if self.name not in OPERATIONS:
            nearest = difflib.get_close_matches(self.name, OPERATIONS, n=1)
            suggestion = f" (did you mean {nearest[0]}?)" if nearest else ""
            raise InputError(f"unknown operation {self.name}{suggestion}; allowed: {', '.join(OPERATIONS)}")
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
) -> Converted:
    """Apply an operation to every picture of a folder.

    Args:
        operation: what to make.
        source: folder with pictures, however deep.
        target: folder for the results, ``.png`` under the same paths.
        partners: for ``combine``, the folder with B under the same paths; suffixes may differ.
        workers: threads; None means one per core.
        progress: called after each picture.

    Returns:
        what was written and rejected. In either folder, a picture without its counterpart is ``UNPAIRED``;
        paths of B are relative to `partners`.

    Raises:
        InputError: a folder is missing or has no pictures, or `partners` does not fit the operation.
        OSError: `target` cannot be written.
    """
    if (operation.name == "combine") != (partners is not None):
        verb = "needs a" if operation.name == "combine" else "takes no"
        raise InputError(f"the operation {operation.name} {verb} target folder (--target)")
    if partners is not None:
        return _combine(operation, source, target, partners, workers, progress)
    convert = _converter(operation)
    return convert_folder(
        source, target, lambda path: convert(read_file(source / path)), workers=workers, progress=progress
    )


def _converter(operation: Operation) -> Callable[[bytes], Image.Image]:
    """Return the function that makes one result from the content of one file."""
    size = (operation.size or 0, operation.size or 0)
    drawing = DRAWINGS.get(operation.name)

    def convert(data: bytes) -> Image.Image:
        picture = load(data, at_least=None if operation.labels else size)
        photograph = scaled(picture, size, operation.fit, operation.labels)
        if drawing is None:
            return canvas(photograph, size)
        a = drawing.draw(photograph, size)
        return a if operation.only_input else side_by_side(a, canvas(photograph, size))

    return convert


def _combine(
    operation: Operation, source: Path, target: Path, partners: Path, workers: int | None, progress: Progress
) -> Converted:
    """Join each picture of `source` and the one of the same name in `partners`."""
    check_apart(partners, target)
    partner_listing = survey(partners).required()
    counterparts, refused = assign_outputs(partner_listing.pictures)
    by_output = {output: path for path, output in counterparts.items()}
    outputs, _ = assign_outputs(survey(source).required().pictures)
    check_spared(partners, target, outputs.values())

    def convert(path: str) -> Image.Image:
        counterpart = by_output.get(outputs[path])
        if counterpart is None:
            raise PictureError(UNPAIRED, f"{partners} has no picture of this name")
        return _joined(operation, source / path, partners, counterpart)

    converted = convert_folder(source, target, convert, workers=workers, progress=progress)
    paired = set(outputs.values())
    unpaired = [path for path, output in counterparts.items() if output not in paired]
    return replace(
        converted,
        rejected=(
            *converted.rejected,
            *refused,
            *(replace(left_out, reason=f"in {partners}; {left_out.reason}") for left_out in partner_listing.left_out),
            *(Rejection(path, UNPAIRED, f"in {partners}; {source} has no picture of this name") for path in unpaired),
        ),
    )


def _joined(operation: Operation, path: Path, partners: Path, counterpart: str) -> Image.Image:
    a = _half(read_file(path), operation, operation.labels)
    if operation.only_input:
        return a
    try:
        b = _half(read_file(partners / counterpart), operation, operation.target_labels)
    except PictureError as error:
        raise PictureError(error.code, f"its counterpart {counterpart}: {error.reason}") from error
    if a.size != b.size:
        sizes = f"{a.width}x{a.height} and {b.width}x{b.height}"
        raise PictureError(BAD_PAIR, f"A and B are of different sizes ({sizes}); specify a size for both")
    return side_by_side(a, b)


def _half(data: bytes, operation: Operation, labels: bool) -> Image.Image:
    if operation.size is None:
        return load(data)
    size = (operation.size, operation.size)
    return fit(load(data, at_least=None if labels else size), size, operation.fit, labels)


def side_by_side(a: Image.Image, b: Image.Image) -> Image.Image:
    """Join two pictures of equal height into an A|B pair."""
    pair = Image.new("RGB", (a.width + b.width, a.height))
    pair.paste(a, (0, 0))
    pair.paste(b, (a.width, 0))
    return pair
