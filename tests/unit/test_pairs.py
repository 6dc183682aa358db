"""Folders of pictures and A|B pairs: the listing, its order, and the shape of a pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pix2pix.datasets.drawings import DRAWINGS
from pix2pix.datasets.operations import Operation, operate
from pix2pix.datasets.pairs import find_pictures, read_pair
from pix2pix.errors import InputError, PictureError
from pix2pix.images.codec import decode, encode_png
from pix2pix.images.rejections import BAD_PAIR, NAME_COLLISION, UNPAIRED


def picture(path: Path, width: int = 40, height: int = 40, seed: int = 0) -> np.ndarray:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    encode_png(pixels, path)
    return pixels


def test_pictures_are_found_however_deep_in_any_case_and_in_byte_order(tmp_path: Path) -> None:
    names = ["b.PNG", "a/z.jpg", "a.JPEG", "a/deep/er/x.TiF", "A.webp", "c.bmp", "d.tiff", "a b (1).jpg", "é.png"]
    others = ["notes.txt", "png", ".hidden.png", ".cache/y.png", "a/.z.png", "_report/r.png", "noending"]
    for name in [*names, *others]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = find_pictures(tmp_path)
    assert found == sorted(names, key=str.encode)


def test_a_report_folder_further_down_is_an_ordinary_folder(tmp_path: Path) -> None:
    picture(tmp_path / "a/_report/x.png")
    assert find_pictures(tmp_path) == ["a/_report/x.png"]


def test_links_are_followed_and_a_circle_ends(tmp_path: Path) -> None:
    picture(tmp_path / "data/x.png")
    (tmp_path / "data/again").symlink_to(tmp_path / "data")
    (tmp_path / "other").mkdir()
    (tmp_path / "other/linked").symlink_to(tmp_path / "data")
    assert find_pictures(tmp_path / "data") == ["x.png"]
    assert find_pictures(tmp_path / "other") == ["linked/x.png"]


@pytest.mark.parametrize("kind", ["missing", "file", "empty", "without pictures"])
def test_a_folder_without_pictures_is_named_with_what_is_wrong(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "data"
    if kind == "file":
        folder.write_text("x")
    elif kind != "missing":
        folder.mkdir()
    if kind == "without pictures":
        (folder / "notes.txt").write_text("x")
    wanted = {
        "missing": "does not exist",
        "file": "is a file",
        "empty": "is empty",
        "without pictures": "1 other file ",
    }
    with pytest.raises(InputError, match=wanted[kind]) as refusal:
        find_pictures(folder)
    assert str(folder) in str(refusal.value)


def test_a_pair_is_split_in_the_middle(tmp_path: Path) -> None:
    pixels = picture(tmp_path / "pair.png", width=60, height=30)
    a, b = read_pair(tmp_path / "pair.png")
    assert np.array_equal(a, pixels[:, :30])
    assert np.array_equal(b, pixels[:, 30:])
    assert read_pair(tmp_path / "pair.png", channels=1)[0].shape == (30, 30, 1)


def test_a_pair_of_odd_width_is_refused(tmp_path: Path) -> None:
    picture(tmp_path / "pair.png", width=61)
    with pytest.raises(PictureError, match="61 pixels wide") as refusal:
        read_pair(tmp_path / "pair.png")
    assert refusal.value.code == BAD_PAIR


@pytest.mark.parametrize("name", DRAWINGS)
@pytest.mark.parametrize("how", ["crop", "pad"])
def test_an_operation_makes_pairs_of_what_it_promises_and_the_photograph(tmp_path: Path, name: str, how: str) -> None:
    picture(tmp_path / "in/x/photo.png", width=50, height=30)
    operation = Operation(name, size=32, fit=how)
    assert operate(operation, tmp_path / "in", tmp_path / "out").written == {"x/photo.png": "x/photo.png"}
    operate(Operation("resize", size=32, fit=how), tmp_path / "in", tmp_path / "resized")
    a, b = read_pair(tmp_path / "out/x/photo.png")
    assert np.array_equal(b, decode(tmp_path / "resized/x/photo.png"))
    assert a.shape == b.shape == (32, 32, 3)
    if name == "grayscale":
        assert (a == a[..., :1]).all()
    if name == "blank":
        side = int(32 * 0.3)
        corner = int(16 - side / 2)
        hole = np.zeros((32, 32), bool)
        hole[corner : corner + side, corner : corner + side] = True
        assert (a[hole] == 255).all()
        assert np.array_equal(a[~hole], b[~hole])
    if name == "edges" and how == "pad":
        assert (a[:4] == 255).all()
        assert not b[:4].any()


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_input_alone_is_the_left_half_of_the_pair(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "in/photo.png")
    operate(Operation(name, size=32), tmp_path / "in", tmp_path / "pairs")
    operate(Operation(name, size=32, only_input=True), tmp_path / "in", tmp_path / "alone")
    assert np.array_equal(decode(tmp_path / "alone/photo.png"), read_pair(tmp_path / "pairs/photo.png")[0])


def test_combine_joins_pictures_of_one_name_and_reports_the_lonely(tmp_path: Path) -> None:
    a = picture(tmp_path / "a/x/1.png", seed=1)
    b = picture(tmp_path / "b/x/1.PNG", seed=2)
    for lonely in ("a/2.png", "b/3.png", "b/4.png", "b/4.PNG"):
        picture(tmp_path / lonely)
    result = operate(Operation("combine", size=None), tmp_path / "a", tmp_path / "out", partners=tmp_path / "b")
    assert result.written == {"x/1.png": "x/1.png"}
    assert np.array_equal(decode(tmp_path / "out/x/1.png"), np.concatenate([a, b], axis=1))
    assert [(each.path, each.code) for each in result.rejected] == [
        ("2.png", UNPAIRED),
        ("4.png", NAME_COLLISION),
        ("3.png", UNPAIRED),
        ("4.PNG", UNPAIRED),
    ]


def test_combine_refuses_two_sizes_unless_one_is_given(tmp_path: Path) -> None:
    picture(tmp_path / "a/1.png", 40, 40)
    picture(tmp_path / "b/1.png", 44, 40)
    folders = (tmp_path / "a", tmp_path / "out")
    result = operate(Operation("combine", size=None), *folders, partners=tmp_path / "b")
    assert [each.code for each in result.rejected] == [BAD_PAIR]
    result = operate(Operation("combine", size=32), *folders, partners=tmp_path / "b")
    assert result.rejected == ()
    assert decode(tmp_path / "out/1.png").shape == (32, 64, 3)


def test_combine_makes_no_label_up(tmp_path: Path) -> None:
    labels = np.random.default_rng(1).choice([0, 255], (50, 50, 3)).astype(np.uint8)
    encode_png(labels, tmp_path / "a/1.png")
    picture(tmp_path / "b/1.png", 50, 50)
    operation = Operation("combine", size=32, labels=True)
    operate(operation, tmp_path / "a", tmp_path / "out", partners=tmp_path / "b")
    a, b = read_pair(tmp_path / "out/1.png")
    assert set(np.unique(a)) == {0, 255}
    assert len(np.unique(b)) > 2


@pytest.mark.parametrize(
    ("operation", "partners", "problem"),
    [
        ({"name": "edge"}, None, "unknown operation edge \\(did you mean edges"),
        ({"name": "edges", "size": 7}, None, "size = 7"),
        ({"name": "edges", "size": None}, None, "needs a size"),
        ({"name": "combine"}, None, "needs a target folder"),
        ({"name": "blank"}, "b", "takes no target folder"),
    ],
)
def test_an_operation_that_makes_no_sense_is_refused(
    tmp_path: Path, operation: dict[str, object], partners: str | None, problem: str
) -> None:
    picture(tmp_path / "a/1.png")
    with pytest.raises(InputError, match=problem):
        operate(
            Operation(**operation),  # type: ignore[arg-type]
            tmp_path / "a",
            tmp_path / "out",
            partners=tmp_path / partners if partners else None,
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", ["x.png", "in/x.png"])
def test_combine_never_writes_over_the_pictures_of_either_folder(tmp_path: Path, place: str) -> None:
    for folder in ("a", "out/in"):
        encode_png(np.zeros((16, 16, 3), np.uint8), tmp_path / folder / "in" / "x.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    a, b = tmp_path / "a", tmp_path / "out" / "in"
    for source, partners in ((a, b), (b, a)):
        with pytest.raises(InputError, match=r"the output in/x\.png would be inside the input folder .*/out/in"):
            operate(Operation("combine"), source, tmp_path / "out", partners=partners)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before
