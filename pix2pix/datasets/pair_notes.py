"""Warnings about pairs and parameters that are valid but probably unintended."""

from __future__ import annotations

from collections.abc import Mapping

from pix2pix.hyperparameters import TrainParameters

MAX_DISTORTION = 1.9
"""Aspect ratio (width / height) of a half over the model's, or the inverse, above which scaling is reported."""

WIDEST_BOTTLENECK = 8
"""Side of the innermost feature map, pixels, above which a U-Net is reported as shallow; powers of two reach 1."""


def distortion(shape: tuple[int, ...], wanted: tuple[int, int]) -> float:
    """How much scaling changes the aspect ratio: 1 not at all.

    Args:
        shape: height and width of the picture, pixels.
        wanted: height and width that it is scaled to.
    """
    factor = (shape[1] / shape[0]) / (wanted[1] / wanted[0])
    return max(factor, 1 / factor)


def warnings_about(far: Mapping[str, tuple[int, int]], count: int, parameters: TrainParameters) -> tuple[str, ...]:
    """Warnings about pictures and parameters; the arguments are those of `note_on_aspect`, but `far` may be empty."""
    notes = (note_on_aspect(far, count, parameters) if far else None, note_on_levels(parameters))
    return tuple(note for note in notes if note)


def note_on_aspect(far: Mapping[str, tuple[int, int]], count: int, parameters: TrainParameters) -> str:
    """Report pictures that scaling distorts.

    Args:
        far: file name -> height and width of its halves (of the picture for colorization), pixels; at least one.
        count: how many files there are.
        parameters: of the model.
    """
    name = min(far)
    (height, width), (rows, columns) = far[name], parameters.shape
    kind = "pictures" if parameters.lab_colorization else "halves"
    cause = (
        "A|B pairs are not pictures to colorize"
        if parameters.lab_colorization
        else "square pictures, for example, are not A|B pairs; `pix2pix pairs` makes pairs of them"
    )
    return (
        f"{len(far)} of {count} files have {kind} far from the model's {columns}x{rows}; the first,"
        f" {name}: {width}x{height}. They are distorted to fit: {cause}"
    )


def note_on_levels(parameters: TrainParameters) -> str | None:
    """Report a size that can be halved only a few times, so that the U-Net has fewer levels than usual for it.

    Returns:
        None where `depth` was chosen, or the innermost feature map is small.
    """
    smallest = min(parameters.shape)
    if parameters.depth or smallest >> parameters.levels <= WIDEST_BOTTLENECK:
        return None
    usual = smallest.bit_length() - 1
    step = 2 ** (usual - 2)
    better = ", ".join(
        f"{name} = {max(1, round(side / step)) * step}"
        for name, side in (("size", parameters.size), ("width", parameters.width))
        if side
    )
    height, width = parameters.shape
    return (
        f"size {height} x {width} (height x width) can be halved only {parameters.levels} times: the U-Net has"
        f" {parameters.levels} levels instead of about {usual} and sees little of the picture at once; set {better}"
    )
