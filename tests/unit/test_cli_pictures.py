"""`pairs`, `split` and `resize`: JSON documents, exit codes, and one clear line for each wrong input."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import pix2pix

from pix2pix.datasets.pairs import read_pair
from pix2pix.images.codec import decode, encode_png


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(["a.png", "deep/b.png", "c.png"]):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
        encode_png(pixels, tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)

    return partial(pix2pix, capsys)


def test_resize_reports_what_it_wrote_and_what_it_left_out(photos: Path, tmp_path: Path, run: Any) -> None:
    (photos / "bad.png").write_text("no picture")
    result = run("resize", photos, tmp_path / "out", "--size", 32, "--json")
    assert result.code == 0
    assert result.document["written"] == 3
    assert result.document["output"] == str(tmp_path / "out")
    [rejected] = result.document["rejected"]
    assert rejected["path"] == "bad.png"
    assert rejected["code"] == "FORMAT_NOT_ALLOWED"
    assert "the content is text" in rejected["reason"]
    plain = run("resize", photos, tmp_path / "out", "--size", 32)
    assert "3 pictures written" in plain.out
    assert "FORMAT_NOT_ALLOWED" in plain.out
    assert decode(tmp_path / "out/deep/b.png").shape == (32, 32, 3)


def test_standard_output_is_one_document_and_progress_goes_to_standard_error(
    photos: Path, tmp_path: Path, run: Any
) -> None:
    result = run("resize", photos, tmp_path / "out", "--json")
    assert result.document["rejected"] == []
    assert "resize: 3/3" in result.err
    assert run("resize", photos, tmp_path / "out", "--json", "-q").err == ""


@pytest.mark.parametrize("operation", ["edges", "grayscale", "blank"])
def test_pairs_have_the_input_on_the_left_and_the_photograph_on_the_right(
    photos: Path, tmp_path: Path, run: Any, operation: str
) -> None:
    assert run("pairs", photos, tmp_path / "out", "--operation", operation, "--size", 64).code == 0
    run("pairs", photos, tmp_path / "alone", "--operation", operation, "--size", 64, "--only-input", "--workers", 2)
    run("resize", photos, tmp_path / "resized", "--size", 64)
    a, b = read_pair(tmp_path / "out/deep/b.png")
    assert np.array_equal(a, decode(tmp_path / "alone/deep/b.png"))
    assert np.array_equal(b, decode(tmp_path / "resized/deep/b.png"))


def test_combine_keeps_the_size_unless_one_is_given(photos: Path, tmp_path: Path, run: Any) -> None:
    for path in ("a.png", "c.png"):
        encode_png(np.full((40, 50, 3), 9, np.uint8), tmp_path / "target" / path)
    arguments = ["pairs", photos, tmp_path / "out", "--operation", "combine", "--target", tmp_path / "target"]
    result = run(*arguments, "--json")
    assert result.document["written"] == 2
    assert [(rejection["path"], rejection["code"]) for rejection in result.document["rejected"]] == [
        ("deep/b.png", "UNPAIRED")
    ]
    assert decode(tmp_path / "out/a.png").shape == (40, 100, 3)
    run(*arguments, "--size", 32, "--fit", "pad")
    assert decode(tmp_path / "out/a.png").shape == (32, 64, 3)


def test_pairs_resize_is_resize(photos: Path, tmp_path: Path, run: Any) -> None:
    run("pairs", photos, tmp_path / "one", "--operation", "resize", "--size", 48, "--fit", "pad", "--labels")
    run("resize", photos, tmp_path / "two", "--size", 48, "--fit", "pad", "--labels")
    assert (tmp_path / "one/a.png").read_bytes() == (tmp_path / "two/a.png").read_bytes()


def test_split_counts_its_sides(photos: Path, tmp_path: Path, run: Any) -> None:
    result = run("split", photos, tmp_path / "out", "--train", 0.5, "--val", 0.5, "--json")
    document = result.document
    assert document["train"] + document["val"] == document["placed"] == 3
    assert (document["test"], document["moved"], document["stale"], document["rejected"]) == (0, 0, [], [])
    assert run("split", photos, tmp_path / "out", "--train", 0.5, "--val", 0.5, "--json").document["placed"] == 0
    assert "3 train, 0 val, 0 test" in run("split", photos, tmp_path / "x", "--train", 1, "--val", 0, "--link").out


def test_no_usable_picture_is_bad_input_and_names_the_first(tmp_path: Path, run: Any) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.png").write_text("no picture")
    for command in (["resize"], ["split"], ["pairs", "--operation", "edges"]):
        result = run(*command, tmp_path / "in", tmp_path / "out", "-q")
        assert result.code == 2
        assert result.out == ""
        assert len(result.err.splitlines()) == 1
        assert "a.png: FORMAT_NOT_ALLOWED" in result.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["resize", "{missing}", "{out}"], "does not exist"),
        (["resize", "{empty}", "{out}"], "is empty"),
        (["resize", "{in}", "{in}/out"], "is inside the input folder"),
        (["resize", "{in}", "{out}", "--size", "4"], "size = 4 cannot be used"),
        (["resize", "{in}", "{file}"], "{file} is a file; specify a folder for the results"),
        (["split", "{in}", "{file}"], "{file} is a file"),
        (["resize", "{in}", "{file}/below"], "{file}/below/a.png cannot be written: Not a directory"),
        (["pairs", "{missing}", "{out}", "--operation", "edges"], "does not exist"),
        (["pairs", "{in}", "{out}", "--operation", "edges", "--size", "5000"], "size = 5000"),
        (["pairs", "{in}", "{out}", "--operation", "combine"], "--target"),
        (["pairs", "{in}", "{out}", "--operation", "combine", "--target", "{empty}"], "is empty"),
        (["pairs", "{in}", "{out}", "--operation", "edges", "--target", "{in}"], "takes no target folder"),
        (["split", "{in}", "{out}", "--train", "0.9", "--val", "0.2"], "their sum 1"),
        (["split", "{in}", "{in}/out"], "is inside the input folder"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(
    photos: Path, tmp_path: Path, run: Any, arguments: list[str], problem: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    places = {name: tmp_path / name for name in ("missing", "empty", "out", "in", "file")}
    result = run(*(argument.format(**places) for argument in arguments), "-q")
    assert result.code == 2
    assert result.out == ""
    assert len(result.err.splitlines()) == 1
    assert problem.format(**places) in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        "resize",
        "pairs x y",
        "pairs x y --operation magic",
        "resize x y --fit stretch",
        "resize x y --workers 0",
        "split x y --train most",
    ],
)
def test_wrong_use_is_exit_code_2(run: Any, arguments: str) -> None:
    assert run(*arguments.split()).code == 2


@pytest.mark.parametrize("command", [["resize"], ["split"], ["pairs", "--operation", "blank"]])
def test_a_picture_with_the_longest_possible_name_is_written(
    photos: Path, tmp_path: Path, run: Any, command: list[str]
) -> None:
    name = "é" * 125 + "x.png"
    (photos / "a.png").rename(photos / name)
    assert run(*command, photos, tmp_path / "out").code == 0
    assert name in [path.name for path in (tmp_path / "out").rglob("*.png")]
    assert not list((tmp_path / "out").rglob(".*"))


@pytest.mark.parametrize("command", [["resize"], ["split"], ["pairs", "--operation", "blank"]])
def test_a_name_that_is_not_utf8_is_reported_whatever_the_terminal(
    photos: Path, tmp_path: Path, command: list[str]
) -> None:
    Path(os.fsdecode(bytes(photos) + b"/\xff.png")).write_text("no picture")
    words = [sys.executable, "-m", "cli.main", *command, str(photos), str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    result = subprocess.run(words, env=environment, capture_output=True, check=False)
    assert (result.returncode, b"Unicode" in result.stderr) == (0, False)
    assert b"\\udcff.png" in result.stdout


@pytest.mark.parametrize("command", [["resize"], ["split"], ["pairs", "--operation", "blank"]])
@pytest.mark.parametrize("words", [("in", "circle"), ("circle", "out")])
def test_a_link_to_itself_is_one_clear_line_and_exit_code_2(
    photos: Path, tmp_path: Path, run: Any, command: list[str], words: tuple[str, str]
) -> None:
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    result = run(*command, *(tmp_path / word for word in words), "-q")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "circle is a dangling link; specify" in result.err or "circle does not exist; specify" in result.err
