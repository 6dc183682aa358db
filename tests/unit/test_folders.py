"""Every file of a folder is read as a picture or listed with a code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from components.pictures import assign
from pix2pix.datasets.operations import Operation, operate
from pix2pix.datasets.resize import ResizeParameters, resize_folder
from pix2pix.datasets.split import Shares, split_folder
from pix2pix.images.codec import png_bytes
from pix2pix.images.folders import survey
from pix2pix.images.names import assign_outputs, may_be_picture
from pix2pix.images.rejections import EMPTY, NOT_A_PICTURE, UNREADABLE, Rejection
from pix2pix.pages.gallery import write_gallery

PNG = png_bytes(np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8))


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return fill(
        tmp_path / "in",
        {
            "a.png": PNG,
            "b.jfif": PNG,
            "c.HEIC": PNG,
            "d": PNG,
            "e.dat": PNG,
            "f.txt": PNG,
            "frame.0001": PNG,
            "labels/a.json": b"{}",
            "README": b"Photographs of cats",
            "empty": b"",
            ".DS_Store": b"\0\0\0\1Bud1",
            "x/._a.png": PNG,
            ".git/config": b"[core]",
            "pix2pix.toml": b"[resize]",
            "_report/index.html": b"<html>",
        },
    )


OTHERS = {
    ".DS_Store": NOT_A_PICTURE,
    ".git": NOT_A_PICTURE,
    "README": NOT_A_PICTURE,
    "empty": EMPTY,
    "labels/a.json": NOT_A_PICTURE,
    "x/._a.png": NOT_A_PICTURE,
}


def codes(rejected: tuple[Rejection, ...]) -> dict[str, str]:
    assert all(each.reason for each in rejected)
    return {each.path: each.code for each in rejected}


def test_the_content_decides_and_every_other_file_is_listed(folder: Path) -> None:
    found = survey(folder)
    assert found.pictures == ("a.png", "b.jfif", "c.HEIC", "d", "e.dat", "f.txt", "frame.0001")
    assert codes(found.left_out) == OTHERS


def test_resize_split_and_pairs_list_what_they_leave_out(folder: Path, tmp_path: Path) -> None:
    result = resize_folder(folder, tmp_path / "resized", ResizeParameters(size=16))
    assert set(result.written.values()) == {"a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "frame.0001.png"}
    assert codes(result.rejected) == OTHERS
    assert codes(split_folder(folder, tmp_path / "split", Shares()).rejected) == OTHERS
    assert codes(operate(Operation("grayscale", 16), folder, tmp_path / "gray").rejected) == OTHERS
    combined = operate(Operation("combine", 16), folder, tmp_path / "ab", partners=folder)
    assert codes(combined.rejected) == OTHERS


def test_what_cannot_be_opened_is_listed_and_never_waited_for(tmp_path: Path) -> None:
    fill(tmp_path, {"a.png": PNG})
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    assert codes(survey(tmp_path).left_out) == {"gone": UNREADABLE, "pipe": UNREADABLE}


def test_a_file_that_is_asked_for_and_is_no_picture_is_left_out_and_stops_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "in", {"notes": b"text"})
    result = resize_folder(tmp_path / "in", tmp_path / "out", ResizeParameters(size=16), only=["notes"])
    assert result.written == {}
    assert codes(result.rejected) == {"notes": NOT_A_PICTURE}


def test_a_commit_is_planned_by_names_alone() -> None:
    outputs, rejected = assign(["/a.jpg", "/a.json", "/b", "/c.gif", "/d.txt", "/x/.hidden.png", "/e.HEIC"])
    assert outputs == {"/a.jpg": "/a.png", "/b": "/b.png", "/c.gif": "/c.png", "/e.HEIC": "/e.png"}
    assert {each.path: each.code for each in rejected} == dict.fromkeys(
        ["/a.json", "/d.txt", "/x/.hidden.png"], NOT_A_PICTURE
    )
    assert not may_be_picture("pix2pix.toml")
    assert not may_be_picture("_report/index.html")


def test_a_file_of_unknown_ending_takes_no_name_from_a_picture() -> None:
    outputs, rejected = assign_outputs(["a", "a.dat", "a.png"])
    assert outputs == {"a.png": "a.png"}
    assert [each.path for each in rejected] == ["a", "a.dat"]


def test_a_page_lists_what_was_left_out(tmp_path: Path) -> None:
    write_gallery(tmp_path, tmp_path, {"a.png": "a.png"}, [Rejection("<b>.txt", NOT_A_PICTURE, "the content is text")])
    text = (tmp_path / "index.html").read_text()
    assert "Left out" in text
    assert "<td>&lt;b&gt;.txt</td><td>NOT_A_PICTURE</td><td>the content is text</td>" in text
    write_gallery(tmp_path, tmp_path, {"a.png": "a.png"})
    assert "Left out" not in (tmp_path / "index.html").read_text()
