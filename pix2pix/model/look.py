"""What the inputs of a model look like: colour statistics and edge density, to recognize pictures of another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pix2pix.images.codec import Pixels

FEATURES = ("luma", "contrast", "flat", "extreme", "chroma", "entropy", "edges")
"""What is measured of a picture, all 0 to 1: mean and twice the standard deviation of luma, share of the pixels that
equal their left neighbour, share of the pixels in the darkest and the brightest eighth, mean difference between the
highest and the lowest channel, entropy of luma in units of 8 bits, share of the pixels at an edge."""

SMALLEST_SPREAD = {
    "luma": 0.1,
    "contrast": 0.08,
    "flat": 0.08,
    "extreme": 0.1,
    "chroma": 0.01,
    "entropy": 0.08,
    "edges": 0.05,
}
"""Feature -> standard deviation that is assumed at least, since training pictures may all be alike."""

FAR = 5.0
"""Standard deviations from the mean of the training inputs beyond which a feature is of another kind of pictures."""

STEP = 32
"""Difference of luma between neighbours that counts as an edge, levels."""


@dataclass(frozen=True)
class InputLook:
    """Statistics of the inputs that a model was trained on.

    Attributes:
        mean: feature -> mean over the pictures.
        spread: feature -> standard deviation over the pictures.
        pictures: how many were measured.
    """

    mean: Mapping[str, float]
    spread: Mapping[str, float]
    pictures: int

    @property
    def is_drawing(self) -> bool:
        """Whether the inputs are line drawings: nearly black and white, without colour."""
        return self.mean["extreme"] > 0.85 and self.mean["entropy"] < 0.4 and self.mean["chroma"] < 0.05

    @property
    def is_gray(self) -> bool:
        """Whether the inputs have no colours."""
        return self.mean["chroma"] < 0.01

    def document(self) -> dict[str, object]:
        """Return the statistics for JSON."""
        return asdict(self)


def measure_look(pixels: Pixels, channels: int = 3) -> NDArray[np.float64]:
    """Measure a picture.

    Args:
        pixels: uint8 ``[H, W, 3]``, at the size that the model takes: scaling changes flat areas and edges.
        channels: that the model sees: 3, or 1 for luma alone.

    Returns:
        float64 ``[7]``, in the order of `FEATURES`.
    """
    luma = np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))
    histogram = np.bincount(luma.ravel(), minlength=256) / luma.size
    seen = histogram[histogram > 0]
    wide = luma.astype(np.int16)
    across, down = np.abs(np.diff(wide, axis=1)), np.abs(np.diff(wide, axis=0))
    chroma = pixels.max(axis=-1) - pixels.min(axis=-1) if channels == 3 else np.zeros_like(luma)
    return np.array(
        [
            luma.mean() / 255,
            min(1.0, luma.std() / 127.5),
            (across == 0).mean(),
            histogram[:32].sum() + histogram[-32:].sum(),
            chroma.mean() / 255,
            max(0.0, float(-(seen * np.log2(seen)).sum() / 8)),
            (np.maximum(across[1:], down[:, 1:]) > STEP).mean(),
        ]
    )


def summarize(looks: Sequence[NDArray[np.float64]]) -> InputLook:
    """Return the statistics of several pictures, each as `measure_look` returns it; at least one."""
    stacked = np.stack(looks)
    # Rounded, so that the same pairs give the same bytes however the sums were ordered.
    mean, spread = (np.round(values, 4).tolist() for values in (stacked.mean(axis=0), stacked.std(axis=0)))
    return InputLook(dict(zip(FEATURES, mean, strict=True)), dict(zip(FEATURES, spread, strict=True)), len(looks))


def look_of(document: object) -> InputLook | None:
    """Read what `InputLook.document` returned; None if a model does not state it or states something else."""
    try:
        look = msgspec.convert(document, InputLook)
    except (msgspec.ValidationError, UnicodeEncodeError):
        return None
    complete = {*FEATURES} <= {*look.mean} and {*FEATURES} <= {*look.spread}
    return look if complete else None


def differing(look: InputLook, measured: NDArray[np.float64]) -> tuple[str, ...]:
    """Return the features in which a picture is far from the inputs that a model was trained on, the farthest first."""
    distance = {
        name: abs(float(value) - look.mean[name]) / max(look.spread[name], SMALLEST_SPREAD[name])
        for name, value in zip(FEATURES, measured, strict=True)
    }
    return tuple(name for name in sorted(distance, key=lambda key: -distance[key]) if distance[name] > FAR)
