"""The bound on the effect of batches, their order and the number of threads on a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

LEVELS = 1
"""Largest difference of a value."""
SHARE = 0.01
"""Largest share of values that differ; about one in 10,000 is typical."""


def assert_nearly_equal(found: np.ndarray, expected: np.ndarray) -> None:
    """Compare uint8 pictures: few values differ, and each by one level at most."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= LEVELS
    assert (difference > 0).mean() <= SHARE


def assert_folders_nearly_equal(found: Path, expected: Path) -> None:
    """Compare the PNGs of two folders: the same names, and pixels within the bound."""
    names = [sorted(p.relative_to(folder) for p in folder.rglob("*.png")) for folder in (found, expected)]
    assert names[0] == names[1] != []
    for name in names[0]:
        with Image.open(found / name) as picture, Image.open(expected / name) as other:
            assert picture.text == other.text
            assert_nearly_equal(np.asarray(picture), np.asarray(other))
