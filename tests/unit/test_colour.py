"""Colours survive the conversion to a network's range and back."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pix2pix.model.colour import join_lab, split_lab, to_network, to_picture

EVERY = np.stack(np.meshgrid(*[np.arange(0, 256, 15, np.uint8)] * 3, indexing="ij"), -1).reshape(1, 18, -1, 3)


def test_every_gray_level_survives():
    levels = np.arange(256, dtype=np.uint8)[None, :, None, None].repeat(3, -1)
    values = to_network(levels, 3).numpy()
    assert (values.min(), values.max()) == (-1, 1)
    np.testing.assert_array_equal(to_picture(values), levels)


def test_what_lies_outside_is_clipped():
    np.testing.assert_array_equal(to_picture(np.array([-7.0, 7.0], np.float32)), [0, 255])


def test_luma_is_that_of_pillow():
    luma = to_picture(to_network(EVERY, 1)).numpy()[0, ..., 0].astype(int)
    assert np.abs(luma - np.asarray(Image.fromarray(EVERY[0]).convert("L")).astype(int)).max() <= 1


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((255, 255, 255), (100, 0, 0)),
        ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 255), (32.30, 79.19, -107.86)),
        ((119, 119, 119), (50.03, 0, 0)),
    ],
)
def test_lab_is_that_of_the_colorimetric_tables(rgb, lab):
    lightness, ab = split_lab(np.array([[[rgb]]], np.uint8))
    found = [(float(lightness[0, 0, 0, 0]) + 1) * 50, *(ab[0, 0, 0].numpy() * 110)]
    np.testing.assert_allclose(found, lab, atol=0.06)


def test_every_colour_survives_lab():
    lightness, ab = split_lab(EVERY)
    assert float(np.abs(lightness).max()) <= 1.0001
    assert float(np.abs(ab).max()) <= 1
    assert np.abs(join_lab(lightness, ab).numpy().astype(int) - EVERY).max() <= 1
