"""Hyperparameters of the stage resize."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters.section import Section
from pix2pix.reading import ReadOptions


def _is_range(value: tuple[float, ...]) -> bool:
    """Return whether a value is empty or two finite numbers, the lower first."""
    return not value or (len(value) == 2 and all(map(math.isfinite, value)) and value[0] < value[1])


@dataclass(frozen=True)
class ResizeParameters(Section):
    """How pictures of any kind are brought to the size that the model takes.

    Attributes:
        size: height of the result, pixels; 8 to 4096: that of the model, as in ``[train]``. The paper's pictures: 256.
        width: its width, pixels; 0 means square.
        operation: what the model's inputs are drawn from: ``none`` (the pictures are inputs already), or photographs of
            which ``edges`` (line drawings) or ``grayscale`` are made, as `pix2pix pairs --operation` makes A.
        fit: ``crop`` (the centre) or ``pad`` (the whole picture on black; a line drawing on white).
        exact: whether JPEGs are decoded in full. Otherwise those at least twice as large are decoded at half size or
            less, which is about 1.5 times as fast and differs by less than one grey level on average.
        labels: whether pictures are label maps, which are scaled by nearest neighbour so that no new label appears.
        frames: GIFs, animated PNGs and WebPs, and TIFFs of several pages: ``reject`` them, or take the ``first`` frame
            or page.
        range: two numbers, the values of black and white in grey TIFFs of floats, 32-bit integers or signed integers;
            values outside are clipped. Empty: 32-bit integers keep their 8 highest bits, floats are taken as 0 to 1,
            0 to 255 or 0 to 65535, and other pictures are rejected.
    """

    NAME: ClassVar[str] = "resize"
    CHECKS: ClassVar[Mapping[str, Callable[[Any], bool]]] = {"range": _is_range}

    size: Annotated[int, Meta(ge=8, le=4096)] = 256
    width: Annotated[int, Meta(ge=0, le=4096)] = 0
    operation: Literal["none", "edges", "grayscale"] = "none"
    fit: Literal["crop", "pad"] = "crop"
    exact: bool = False
    labels: bool = False
    frames: Literal["reject", "first"] = "reject"
    range: Annotated[tuple[float, ...], Meta(description="[low, high] with low below high, or []")] = ()

    def check_together(self) -> None:
        """Refuse a width that is too small, and line drawings of label maps."""
        if 0 < self.width < 8:
            raise HyperparameterError(f"width = {self.width} cannot be used; allowed: 8 to 4096, or 0 for square")
        if self.labels and self.operation != "none":
            raise HyperparameterError(
                f'operation = "{self.operation}" takes photographs, and labels = true label maps; set one of the two'
            )

    @property
    def reading(self) -> ReadOptions:
        """How ambiguous pictures are read."""
        return ReadOptions(self.frames, (self.range[0], self.range[1]) if self.range else None)
