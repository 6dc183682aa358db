"""`pix2pix check`: the faults that are put into folders of pairs are found, and good pairs are not accused."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import pix2pix
from seeded_pairs import KINDS, Pair, edges, grey, mirrored, near_copy, write_seeded

from pix2pix.datasets.alignment import outlines, register
from pix2pix.datasets.checks.pair_check import PairCheck, check_pairs
from pix2pix.datasets.checks.pair_faults import REMEDIES, PairFault
from pix2pix.facades.generator import facade
from pix2pix.images.codec import encode_png


def write(folder: Path, name: str, pair: Pair) -> None:
    encode_png(np.concatenate(pair, axis=1), folder / name)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pairs without a fault."""
    folder = tmp_path_factory.mktemp("good")
    for index in range(12):
        write(folder, f"{index:02d}.png", edges(1000 + index))
    return folder


@pytest.fixture
def pairs(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "pairs"))


def codes(checked: PairCheck) -> dict[str, list[str]]:
    return {path: [f.code for f in checked.findings if f.path == path] for path in {f.path for f in checked.findings}}


def score(kind: str, folder: Path, seeded: dict[str, str], count: int) -> tuple[list[str], int]:
    """Codes of the seeded faults that are found, and the number of good pairs that are accused."""
    findings = check_pairs(folder).findings

    def matches(finding: PairFault, path: str, code: str) -> bool:
        wanted = {"DUPLICATE", "LEAK"} if code == "DUPLICATE" else {code}
        return finding.code in wanted and path in (finding.path, finding.other)

    found = [path for path, code in seeded.items() if any(matches(finding, path, code) for finding in findings)]
    accused = {f.path for f in findings if f.path not in seeded and f.other not in seeded}
    missed = sorted(f"{path} {seeded[path]}" for path in seeded if path not in found)
    print(f"{kind}: {len(found)} of {len(seeded)} faults found, missed {missed}")  # noqa: T201
    print(f"  {len(accused)} of {count - len(seeded)} good pairs accused: {sorted(accused)}")  # noqa: T201
    return [seeded[path] for path in found], len(accused)


def check_goal(tmp_path: Path, count: int, share: float) -> None:
    total, found, accused = Counter[str](), Counter[str](), 0
    for number, kind in enumerate(KINDS):
        seeded = write_seeded(tmp_path / kind, kind, count, share, seed=20 + number, start=5000)
        assert len(set(seeded.values())) == 8
        hits, alarms = score(kind, tmp_path / kind, seeded, count)
        total.update(seeded.values())
        found.update(hits)
        accused += alarms
    good_pairs = 3 * count - total.total()
    print(f"all: {found.total() / total.total():.1%} found, {accused / good_pairs:.2%} false alarms")  # noqa: T201
    assert found.total() >= 0.95 * total.total()
    assert [code for code in total if found[code] < 0.8 * total[code]] == []
    assert accused <= 0.01 * good_pairs


def test_seeded_faults_are_found_and_good_pairs_are_not_accused(tmp_path: Path) -> None:
    check_goal(tmp_path, count=50, share=0.04)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_of_1000_pairs_95_percent_of_the_faults_are_found_with_1_percent_false_alarms(
    tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    check_goal(tmp_path, count=volume(334, 60), share=0.02)


def test_good_pairs_have_no_findings(good: Path) -> None:
    checked = check_pairs(good)
    assert (checked.pairs, checked.findings) == (12, ())


def test_a_near_copy_on_the_other_side_of_the_split_is_a_leak(pairs: Path) -> None:
    random = np.random.default_rng(3)
    for side in ("train", "val"):
        (pairs / side).mkdir()
    for path in sorted(pairs.glob("*.png")):
        path.rename(pairs / "train" / path.name)
    write(pairs / "val", "leak.png", near_copy(edges(1000), random))
    write(pairs / "train", "twice.png", near_copy(edges(1001), random))
    found = {finding.code: (finding.path, finding.other) for finding in check_pairs(pairs).findings}
    assert found == {"LEAK": ("val/leak.png", "train/00.png"), "DUPLICATE": ("train/twice.png", "train/01.png")}


def test_one_b_beside_two_inputs_is_a_wrong_partner_and_no_duplicate(pairs: Path) -> None:
    write(pairs, "again.png", (edges(1600)[0], edges(1000)[1]))
    assert codes(check_pairs(pairs)) == {"again.png": ["WRONG_PARTNER"]}


def test_without_folders_near_copies_are_duplicates_since_training_keeps_them_together(pairs: Path) -> None:
    write(pairs, "copy.png", near_copy(edges(1000), np.random.default_rng(3)))
    [found] = check_pairs(pairs).findings
    assert (found.code, found.path, found.other) == ("DUPLICATE", "copy.png", "00.png")


def test_of_many_pairs_a_part_is_checked_that_is_spread_over_the_folder(pairs: Path) -> None:
    for number in (3, 6, 11):
        write(pairs, f"{number:02d}.png", (edges(number)[0], np.zeros_like(edges(number)[1])))
    checked = check_pairs(pairs, most=4)
    assert (checked.pairs, checked.of) == (4, 12)
    assert [fault.path for fault in checked.findings] == ["03.png", "06.png"]
    assert check_pairs(pairs, most=99).pairs == 12


def test_another_size_and_another_aspect_ratio_are_reported(pairs: Path) -> None:
    a, b = edges(1500)
    write(pairs, "size.png", (a[:120], b[:120]))
    write(pairs, "photo.png", (b[:, :60], b[:, 60:120]))
    found = codes(check_pairs(pairs))
    assert "MIXED_SIZE" in found["size.png"]
    assert "ASPECT" in found["photo.png"]
    assert "ASPECT" not in codes(check_pairs(pairs, model=(256, 128))).get("photo.png", [])


def test_small_flat_pictures_without_a_common_palette_are_not_called_label_maps(tmp_path: Path) -> None:
    for index in range(20):
        write(tmp_path, f"{index:02d}.png", facade(64, 1, index))
    assert [fault for fault in check_pairs(tmp_path).findings if fault.code == "PALETTE"] == []


def test_few_pairs_have_no_majority_to_differ_from(tmp_path: Path) -> None:
    for index in range(4):
        write(tmp_path, f"{index}.png", mirrored(grey(index), np.random.default_rng(0)) if index == 0 else grey(index))
    assert check_pairs(tmp_path).findings == ()


def test_halves_that_share_no_outlines_are_not_called_wrong_partners(tmp_path: Path) -> None:
    for index in range(20):
        write(tmp_path, f"{index:02d}.png", (grey(index)[1], grey(500 + index)[1]))
    assert [f for f in check_pairs(tmp_path).findings if f.code in ("WRONG_PARTNER", "SWAPPED", "SHIFTED")] == []


def test_findings_are_the_same_for_any_number_of_threads_and_the_worst_come_first(pairs: Path) -> None:
    write(pairs, "05.png", mirrored(edges(1005), np.random.default_rng(0)))
    write(pairs, "06.png", (edges(1006)[0], np.zeros_like(edges(1006)[1])))
    (pairs / "07.png").write_bytes(b"")
    checked = check_pairs(pairs, workers=1)
    assert checked == check_pairs(pairs, workers=4)
    assert [(f.path, f.code) for f in checked.findings] == [
        ("07.png", "EMPTY"),
        ("06.png", "BLANK"),
        ("05.png", "MIRRORED"),
    ]
    assert all(0 < f.score <= 1 and f.what and f.remedy for f in checked.findings)


def test_a_shift_is_reported_with_its_direction_and_as_a_share_of_the_side(pairs: Path) -> None:
    a, b = grey(700)
    fit = register(outlines(a), outlines(np.roll(b, (-8, 16), axis=(0, 1))))
    assert fit.shift == (16 / 128, -8 / 128)
    assert fit.shifted > 0.8 > 0.4 > fit.aligned
    a, b = edges(1005)
    write(pairs, "05.png", (a, np.roll(b, (-8, 16), axis=(0, 1))))
    [fault] = check_pairs(pairs).findings
    assert (fault.path, fault.code) == ("05.png", "SHIFTED")
    assert "+12.5% to the right and -6.2% down" in fault.what


def test_json_is_one_document_and_strict_exits_with_1(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(pairs, "05.png", mirrored(edges(1005), np.random.default_rng(0)))
    (pairs / "notes.txt").write_text("a")
    result = pix2pix(capsys, "check", pairs, "--json")
    assert result.code == 0
    assert result.document["pairs"] == 12
    assert result.document["counts"] == {"MIRRORED": 1}
    [finding] = result.document["findings"]
    assert set(finding) == {"path", "code", "what", "remedy", "score", "other"}
    assert (finding["path"], finding["remedy"]) == ("05.png", REMEDIES["MIRRORED"])
    assert [row["path"] for row in result.document["rejected"]] == ["notes.txt"]
    strict = pix2pix(capsys, "check", pairs, "--json", "--strict")
    assert strict.code == 1
    assert json.loads(strict.out) == result.document


def test_strict_exits_with_0_where_nothing_is_found(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = pix2pix(capsys, "check", good, "--strict")
    assert (result.code, result.out) == (0, "12 pairs checked, 0 findings\n")


def test_people_read_a_table_and_what_to_do(pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(pairs, "05.png", mirrored(edges(1005), np.random.default_rng(0)))
    result = pix2pix(capsys, "check", pairs)
    assert "12 pairs checked, 1 finding\n" in result.out
    assert "MIRRORED  05.png" in result.out
    assert f"MIRRORED: {REMEDIES['MIRRORED']}" in result.out


def test_the_page_shows_both_pairs_and_escapes_names(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(pairs, "<b>copy.png", near_copy(edges(1000), np.random.default_rng(3)))
    (pairs / "zz.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (pairs / "11.png").rename(os.fsdecode(os.fsencode(pairs) + b"/\xff.png"))
    assert pix2pix(capsys, "check", pairs, "--html", tmp_path / "page.html").code == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8", errors="surrogateescape")
    assert page.count("data:image/png;base64,") == 2
    assert "&lt;b&gt;copy.png" in page
    assert "<b>copy" not in page
    assert "zz.png" in page


@pytest.mark.parametrize("words", [["missing"], ["pairs", "--held-out", "1"], ["pairs", "--size", "0"]])
def test_wrong_use_exits_with_2(
    words: list[str], pairs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pairs.parent)
    result = pix2pix(capsys, "check", *words)
    assert (result.code, result.out) == (2, "")
