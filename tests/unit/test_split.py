"""The split by content: no picture changes sets or is in two, and the input is only read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from seeded_pairs import edges, near_copy

from pix2pix.datasets.checks.pair_check import check_pairs
from pix2pix.datasets.split import SIDES, Shares, split_folder
from pix2pix.errors import InputError
from pix2pix.images.codec import encode_png


def fill(folder: Path, start: int, stop: int) -> None:
    for number in range(start, stop):
        pixels = np.random.default_rng(number).integers(0, 256, (4, 4, 3), dtype=np.uint8)
        encode_png(pixels, folder / f"{number % 3}" / f"{number}.png")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_picture_never_changes_side_when_others_are_added(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 30)
    before = split_folder(tmp_path / "in", tmp_path / "out", Shares()).sides
    fill(tmp_path / "in", 30, 90)
    after = split_folder(tmp_path / "in", tmp_path / "out", Shares())
    assert before.items() <= after.sides.items()
    assert after.placed == 60
    assert after.moved == 0


def test_every_picture_is_on_exactly_one_side_under_its_own_path(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 40)
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares(0.5, 0.3))
    assert contents(tmp_path / "out") == {
        f"{result.sides[path]}/{path}": data for path, data in contents(tmp_path / "in").items()
    }
    assert set(result.sides.values()) == set(SIDES)


def test_a_second_split_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 20)
    split_folder(tmp_path / "in", tmp_path / "out", Shares())
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares(), workers=1)
    assert (result.placed, result.moved, result.stale) == (0, 0, ())
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == times


def test_other_shares_move_pictures_and_leave_none_on_two_sides(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 40)
    split_folder(tmp_path / "in", tmp_path / "out", Shares(0.8, 0.1))
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares(0.3, 0.3))
    assert result.moved == result.placed > 0
    assert len(contents(tmp_path / "out")) == 40
    assert len(contents(tmp_path / "in")) == 40


def test_equal_files_fall_on_one_side_whatever_their_names(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    for number in range(20):
        encode_png(pixels, tmp_path / "in" / f"copy{number}.png")
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares(0.5, 0.25))
    assert len(set(result.sides.values())) == 1


def test_the_shares_are_met_over_many_pictures() -> None:
    shares = Shares(0.7, 0.2)
    sides = [shares.side(hashlib.sha256(str(number).encode()).digest()) for number in range(20_000)]
    for side, share in zip(SIDES, (0.7, 0.2, 0.1), strict=True):
        assert abs(sides.count(side) / len(sides) - share) < 0.01


@pytest.mark.parametrize(
    ("shares", "empty"), [((1.0, 0.0), {"val", "test"}), ((0.9, 0.1), {"test"}), ((0.0, 0.0), {"train", "val"})]
)
def test_a_share_of_nothing_gets_nothing(shares: tuple[float, float], empty: set[str]) -> None:
    split = Shares(*shares)
    ends = [bytes(32), b"\xff" * 32, *(hashlib.sha256(bytes([number])).digest() for number in range(200))]
    assert not empty & {split.side(digest) for digest in ends}


@pytest.mark.parametrize(
    "shares", [(0.8, 0.3, None), (0.8, 0.1, 0.2), (0.5, 0.1, 0.1), (-0.1, 0.6, 0.5), (1.5, -0.5, 0), (np.nan, 0, 1)]
)  # fmt: skip
def test_shares_that_are_not_a_whole_are_refused(shares: tuple[float, float, float | None]) -> None:
    with pytest.raises(InputError, match="their sum 1"):
        Shares(*shares)


def test_links_are_the_same_file_and_stay_when_split_again(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 8)
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares(), link=True)
    for path, side in result.sides.items():
        assert (tmp_path / "out" / side / path).samefile(tmp_path / "in" / path)
    assert split_folder(tmp_path / "in", tmp_path / "out", Shares(), link=True).placed == 0
    assert split_folder(tmp_path / "in", tmp_path / "out", Shares()).placed == 8
    for path, side in result.sides.items():
        assert not (tmp_path / "out" / side / path).samefile(tmp_path / "in" / path)


def test_files_that_the_input_lost_are_reported_and_left_alone(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 5)
    first = split_folder(tmp_path / "in", tmp_path / "out", Shares())
    gone = next(iter(first.sides))
    (tmp_path / "in" / gone).unlink()
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares())
    assert result.stale == (f"{first.sides[gone]}/{gone}",)
    assert (tmp_path / "out" / result.stale[0]).exists()


def test_a_file_that_is_no_picture_is_left_out(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 2)
    (tmp_path / "in/z.png").write_text("no picture")
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares())
    assert [(each.path, each.code) for each in result.rejected] == [("z.png", "FORMAT_NOT_ALLOWED")]
    assert len(contents(tmp_path / "out")) == 2


@pytest.mark.parametrize(("source", "target"), [("data", "data"), ("data", "data/out"), ("data/train", "data")])
def test_a_result_that_would_mix_with_the_input_is_refused(tmp_path: Path, source: str, target: str) -> None:
    fill(tmp_path / source, 0, 10)
    before = contents(tmp_path)
    with pytest.raises(InputError, match="is inside"):
        split_folder(tmp_path / source, tmp_path / target, Shares(0.1, 0.1))
    assert contents(tmp_path) == before


def fill_with_copies(folder: Path, count: int) -> None:
    random = np.random.default_rng(5)
    for number in range(count):
        encode_png(np.concatenate(edges(3000 + number), axis=1), folder / f"{number}.png")
        encode_png(np.concatenate(near_copy(edges(3000 + number), random), axis=1), folder / f"again-{number}.png")


def test_near_copies_fall_on_one_side_and_the_check_finds_no_leak(tmp_path: Path) -> None:
    fill_with_copies(tmp_path / "in", 12)
    digests = [hashlib.sha256(data).digest() for data in contents(tmp_path / "in").values()]
    result = split_folder(tmp_path / "in", tmp_path / "out", Shares(0.5, 0.5))
    assert all(result.sides[f"{number}.png"] == result.sides[f"again-{number}.png"] for number in range(12))
    assert set(result.sides.values()) == {"train", "val"}
    assert result.copies == 12
    assert [Shares(0.5, 0.5).side(digest) for digest in digests] != list(result.sides.values())
    found = {finding.code for finding in check_pairs(tmp_path / "out").findings}
    assert "DUPLICATE" in found
    assert "LEAK" not in found


def test_a_smaller_copy_joins_its_original_and_moves_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "in", 0, 20)
    large = np.concatenate(edges(3000), axis=1)
    encode_png(large, tmp_path / "in" / "large.png")
    before = split_folder(tmp_path / "in", tmp_path / "out", Shares(0.5, 0.25))
    for side in (48, 64, 96, 112):
        encode_png(cv2.resize(large, (2 * side, side), interpolation=cv2.INTER_AREA), tmp_path / "in" / f"{side}.png")
    after = split_folder(tmp_path / "in", tmp_path / "out", Shares(0.5, 0.25))
    assert before.sides.items() <= after.sides.items()
    assert {after.sides[f"{side}.png"] for side in (48, 64, 96, 112)} == {before.sides["large.png"]}
    assert (after.placed, after.moved, after.copies) == (4, 0, 4)


def test_a_large_jpeg_and_its_png_are_one_picture(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    large = cv2.resize(np.concatenate(edges(3001), axis=1), (1600, 800), interpolation=cv2.INTER_CUBIC)
    for quality in range(60, 90, 5):
        Image.fromarray(large).save(tmp_path / "in" / f"{quality}.jpg", quality=quality)
    encode_png(large, tmp_path / "in" / "a.png")
    assert len(set(split_folder(tmp_path / "in", tmp_path / "out", Shares(0.5, 0.25)).sides.values())) == 1
