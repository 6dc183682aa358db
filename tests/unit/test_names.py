"""Output names depend on the listing alone, are distinct, and stay inside the folder."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pix2pix.files import partial_of
from pix2pix.images.names import assign_outputs, byte_order
from pix2pix.images.rejections import BAD_PATH, NAME_COLLISION


def test_an_output_has_the_path_of_its_input_and_ends_in_png() -> None:
    outputs, rejected = assign_outputs(["cats/1.jpg", "dogs/2.JPEG", "a.b.tiff", "3.png"])
    assert outputs == {"3.png": "3.png", "a.b.tiff": "a.b.png", "cats/1.jpg": "cats/1.png", "dogs/2.JPEG": "dogs/2.png"}
    assert rejected == ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("a.jpg", "a.png"),
        ("a.JPG", "a.jpg"),
        ("a.jpeg", "a.webp"),
        ("x/a.bmp", "x/a.tif"),
        ("A.png", "a.png"),
        ("A.jpg", "a.tif"),
        ("STRASSE.png", "straße.png"),
        (unicodedata.normalize("NFD", "é.png"), unicodedata.normalize("NFC", "é.png")),
        ("a.jpg", "a.png/b.jpg"),
        ("a.png/b.jpg", "a.tif"),
        ("a.PNG/b.jpg", "a.tif"),
        ("a.jpg", "a.png/deep/er/b.jpg"),
    ],
)
def test_of_two_inputs_that_would_meet_the_first_in_byte_order_keeps_the_name(first: str, second: str) -> None:
    for listing in ([first, second], [second, first]):
        outputs, rejected = assign_outputs(listing)
        assert list(outputs) == [first]
        assert [(each.path, each.code) for each in rejected] == [(second, NAME_COLLISION)]
        assert first in rejected[0].reason


@pytest.mark.parametrize(
    "path",
    ["/a.png", "../a.png", "a/../../b.png", "a/./b.png", "a//b.png", "", "a/", ".", "..", "a\0.png", "x" * 252 + ".png",
     "é" * 126 + ".png", "a/" + "b" * 256 + "/c.png"],
)  # fmt: skip
def test_a_path_that_could_leave_the_folder_gets_no_output(path: str) -> None:
    outputs, rejected = assign_outputs([path, "good.png"])
    assert outputs == {"good.png": "good.png"}
    assert [(each.path, each.code) for each in rejected] == [(path, BAD_PATH)]


def test_similar_names_that_do_not_meet_are_all_kept() -> None:
    listing = ["a.png", "a-.png", "b/a.png", "aa.png", "a b.png", "a/b.png", "é.png", "e.png"]
    outputs, rejected = assign_outputs(listing)
    assert set(outputs) == set(listing)
    assert rejected == ()


names = st.text(st.sampled_from("aAbBéE\u0301.ß"), min_size=1, max_size=4)
paths = st.builds(
    lambda folders, stem, suffix: "/".join([*folders, stem + suffix]),
    st.lists(names, max_size=2),
    names,
    st.sampled_from([".png", ".jpg", ".JPG", ".tif"]),
)


@given(st.lists(paths, max_size=12), st.randoms())
def test_outputs_never_meet_whatever_the_listing(listing: list[str], shuffler: random.Random) -> None:
    outputs, rejected = assign_outputs(listing)
    assert set(outputs) | {each.path for each in rejected} == set(listing)
    held = [unicodedata.normalize("NFC", path).casefold() for path in outputs.values()]
    assert len(set(held)) == len(held)
    parents = {str(folder) for path in held for folder in PurePosixPath(path).parents}
    assert not parents & set(held)
    shuffled = list(listing)
    shuffler.shuffle(shuffled)
    assert assign_outputs(shuffled) == (outputs, rejected)


@given(st.lists(paths, max_size=8))
def test_a_rejected_name_frees_nothing_for_others(listing: list[str]) -> None:
    """Without the rejected inputs all other names stay the same, so that a plan need not remember them."""
    outputs, rejected = assign_outputs(listing)
    gone = {each.path for each in rejected}
    assert assign_outputs([path for path in listing if path not in gone]) == (outputs, ())


def test_names_that_are_no_utf8_are_ordered_by_their_bytes() -> None:
    assert sorted(["b", "\udcff", "é", "a"], key=byte_order) == ["a", "b", "é", "\udcff"]


def test_the_file_that_is_written_first_is_hidden_short_and_one_for_each_name() -> None:
    files = [Path("a") / name for name in ("x" * 255, "x" * 254, "é.png", "\udcff.png", "x.png")]
    partial = [partial_of(file) for file in files]
    assert len(set(partial)) == len(files)
    assert all(path.parent == Path("a") and path.name.startswith(".") and len(path.name) < 30 for path in partial)
    assert partial == [partial_of(file) for file in files]


@pytest.mark.parametrize(("length", "fits"), [(251, True), (252, False), (255, False)])
def test_an_output_with_a_longer_name_than_file_systems_take_is_left_out(length: int, fits: bool) -> None:
    outputs, rejected = assign_outputs(["x" * length, "good.png"])
    assert outputs == {"good.png": "good.png", **({"x" * length: "x" * length + ".png"} if fits else {})}
    assert [each.code for each in rejected] == [] if fits else [BAD_PATH]
