"""Options for pictures that can be read in more than one way."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]
"""Values of black and white, for samples whose range is unknown: floats, 32-bit and signed integers."""


@dataclass(frozen=True)
class ReadOptions:
    """How ambiguous pictures are read.

    Attributes:
        frames: ``reject`` or ``first``, for GIFs, animations and TIFFs of several pages.
        range: values of black and white in grey samples; None if they are not declared.
    """

    frames: str = "reject"
    range: Range | None = None


DEFAULT = ReadOptions()
"""Assumes nothing: ambiguous pictures are rejected."""
