"""Procedural facades: reproducible by seed, of any number and size, painted from the label map alone."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pix2pix.datasets.pairs import find_pictures, read_pair
from pix2pix.errors import InputError
from pix2pix.facades.generator import facade, make_facades, make_labels, make_pairs, paint
from pix2pix.facades.layout import CLASSES
from pix2pix.images.codec import decode


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_seed_gives_the_same_files_every_time(tmp_path: Path) -> None:
    make_pairs(tmp_path / "one", 3, 64, 7)
    make_pairs(tmp_path / "two", 3, 64, 7)
    make_pairs(tmp_path / "other", 3, 64, 8)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert not set(contents(tmp_path / "one").values()) & set(contents(tmp_path / "other").values())


def test_facades_are_those_of_this_release() -> None:
    """The demo's figures depend on them; change the digest only together with the figures."""
    digest = hashlib.sha256(b"".join(part.tobytes() for i in range(4) for part in facade(64, 1, i))).hexdigest()
    assert digest == "2cb974bd15484ae2cf78aeb7d187a7ba7b048b05afca7447d75db313fb09a6d3"


def test_a_later_start_continues_the_series(tmp_path: Path) -> None:
    make_pairs(tmp_path / "all", 5, 32, 1)
    make_pairs(tmp_path / "later", 2, 32, 1, start=3)
    every = contents(tmp_path / "all")
    assert contents(tmp_path / "later") == {name: every[name] for name in ("facade-0003.png", "facade-0004.png")}


def test_no_two_facades_are_alike() -> None:
    assert len({facade(64, 5, index)[0].tobytes() for index in range(100)}) == 100


@pytest.mark.parametrize("size", [16, 32, 50, 64, 96, 128, 256])
def test_any_size_shows_labels_of_known_classes_and_their_picture(size: int) -> None:
    labels, picture = facade(size, 3, 4)
    assert labels.shape == picture.shape == (size, size, 3)
    assert {tuple(colour) for colour in labels.reshape(-1, 3).tolist()} <= set(CLASSES.values())
    assert np.array_equal(picture, paint(labels))


def test_classes_can_be_distinguished_in_spite_of_small_errors() -> None:
    colours = list(CLASSES.values())
    for number, colour in enumerate(colours):
        for other in colours[:number]:
            assert max(abs(a - b) for a, b in zip(colour, other, strict=True)) >= 127


def test_every_class_appears_and_every_facade_has_the_essential_parts() -> None:
    seen: set[tuple[int, ...]] = set()
    for index in range(60):
        colours = {tuple(colour) for colour in facade(64, 2, index)[0].reshape(-1, 3).tolist()}
        assert {CLASSES[name] for name in ("sky", "roof", "window", "door", "cornice", "pavement")} <= colours
        seen |= colours
    assert seen == set(CLASSES.values())


def test_pairs_labels_and_facades_belong_together(tmp_path: Path) -> None:
    make_pairs(tmp_path / "pairs", 2, 48, 9)
    make_labels(tmp_path / "labels", 2, 48, 9)
    make_facades(tmp_path / "facades", 2, 48, 9)
    for name in find_pictures(tmp_path / "pairs"):
        a, b = read_pair(tmp_path / "pairs" / name)
        assert np.array_equal(a, decode(tmp_path / "labels" / name))
        assert np.array_equal(b, decode(tmp_path / "facades" / name))


@pytest.mark.parametrize("arguments", [(15, 1, 0), (64, -1, 0), (64, 1, -1)])
def test_a_facade_too_small_or_with_negative_numbers_is_refused(arguments: tuple[int, int, int]) -> None:
    with pytest.raises(InputError):
        facade(*arguments)
