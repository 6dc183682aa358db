"""Output names and rejections of a commit's pictures."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pachyderm.record.stage_record import Rejected
from pix2pix.images.names import assign_outputs, may_be_picture
from pix2pix.images.rejections import CODES, NOT_A_PICTURE, Rejection


def assign(paths: Collection[str]) -> tuple[Mapping[str, str], tuple[Rejected, ...]]:
    """Assign output paths to input paths, both absolute; see `pix2pix.images.names.assign_outputs`.

    Returns:
        input -> output, and the inputs without an output.
    """
    pictures: list[str] = []
    others: list[Rejection] = []
    for path in (path.lstrip("/") for path in paths):
        if may_be_picture(path):
            pictures.append(path)
        else:
            others.append(Rejection(path, NOT_A_PICTURE, CODES[NOT_A_PICTURE]))
    outputs, rejected = assign_outputs(pictures)
    return {f"/{path}": f"/{output}" for path, output in outputs.items()}, as_rejected((*rejected, *others))


def as_rejected(rejections: Iterable[Rejection]) -> tuple[Rejected, ...]:
    """Convert the rejections of a folder to those of a commit."""
    return tuple(Rejected(f"/{rejection.path}", rejection.code, rejection.reason) for rejection in rejections)
