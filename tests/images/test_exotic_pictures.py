"""Unusual but valid pictures decode to exactly the expected pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from exotic_pictures import Exotic, cases

from pix2pix.images.codec import decode, decode_bytes

# Pillow warns about what it ignores. The product silences the warnings; pytest would turn them into errors.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

CASES = list(cases())


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_valid_picture_decodes_to_its_exact_pixels(case: Exotic) -> None:
    pixels = decode_bytes(case.data, case.channels)
    assert pixels.dtype == np.uint8
    assert pixels.shape == case.pixels.shape
    assert np.abs(pixels.astype(int) - np.asarray(case.pixels).astype(int)).max() <= case.tolerance


def test_the_table_is_as_large_as_promised() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 60


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    for case in CASES[:5]:
        path = tmp_path / "picture.jpg"
        path.write_bytes(case.data)
        assert np.array_equal(decode(path), decode_bytes(case.data))
