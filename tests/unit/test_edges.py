"""Line drawings: thin lines at the borders, and nothing on even surfaces."""

from __future__ import annotations

import numpy as np
import pytest

from pix2pix.datasets.edges import draw_edges


def disc(side: int, inside: tuple[int, int, int], outside: tuple[int, int, int]) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    far = np.hypot(x - side / 2 + 0.5, y - side / 2 + 0.5)
    share = np.clip(far - side / 4, 0, 1)[..., np.newaxis]
    return np.rint((1 - share) * np.array(inside) + share * np.array(outside)).astype(np.uint8)


@pytest.mark.parametrize("side", [64, 128, 256])
def test_a_border_is_one_thin_closed_line_where_it_is(side: int) -> None:
    drawing = draw_edges(disc(side, (200, 60, 40), (40, 60, 60)))
    assert drawing.shape == (side, side, 1)
    assert set(np.unique(drawing)) == {0, 255}
    y, x = np.nonzero(drawing[..., 0] == 0)
    far = np.hypot(x - side / 2 + 0.5, y - side / 2 + 0.5)
    assert np.abs(far - side / 4).max() < 2.5
    around = 2 * np.pi * side / 4
    assert 0.8 * around < len(x) < 1.4 * around
    angles = np.unique(np.round(np.arctan2(y - side / 2, x - side / 2), 1))
    assert len(angles) >= 60


def test_a_border_between_equally_bright_colours_is_drawn() -> None:
    # Equal luma (Rec. 601), different hues.
    drawing = draw_edges(disc(128, (180, 80, 60), (60, 141, 60)))
    assert (drawing == 0).sum() > 100


def test_an_even_surface_with_noise_has_no_lines() -> None:
    noise = np.random.default_rng(1).normal(0, 3, (128, 128, 3))
    assert (draw_edges(np.clip(128 + noise, 0, 255).astype(np.uint8)) == 255).all()
    assert (draw_edges(np.full((64, 64, 3), 255, np.uint8)) == 255).all()


def test_the_same_picture_gives_the_same_drawing() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    assert np.array_equal(draw_edges(pixels), draw_edges(pixels.copy()))


@pytest.mark.parametrize("shape", [(8, 8), (8, 64), (33, 9)])
def test_small_and_oblong_pictures_can_be_drawn(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    assert draw_edges(pixels).shape == (*shape, 1)
