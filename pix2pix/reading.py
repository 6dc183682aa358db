"""What a caller decides about pictures that can be read in more than one way."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]
"""The values that are black and white, for samples whose own range is not known: floats, 32 bits, signed integers."""


@dataclass(frozen=True)
class ReadOptions:
    """How ambiguous pictures are read.

    Attributes:
        frames: ``reject`` or ``first``, for GIFs, animations and TIFFs of several pages.
        range: black and white of grey samples; None where they are not declared.
    """

    frames: str = "reject"
    range: Range | None = None


DEFAULT = ReadOptions()
"""Nothing is assumed: what is ambiguous is rejected."""
