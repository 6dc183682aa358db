"""The callback through which long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as ``progress(done, total, note)``: units done so far, units in all (0 if unknown), a short note such as
``"L1 0.081"``. Called often; the receiver limits the rate at which it shows anything."""


def silent(done: int, total: int, note: str) -> None:
    """Report nothing."""
