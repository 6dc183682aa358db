"""Gallery pages: tables of pictures, inputs beside outputs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pix2pix.images.rejections import Rejection
from pix2pix.pages.rendering import render, write


@dataclass(frozen=True)
class Cell:
    """A cell of a gallery: text, or the picture at the URL `source` with the text as its description."""

    text: str
    source: str = ""


def write_gallery(target: Path, source: Path, pictures: Mapping[str, str], left_out: Sequence[Rejection] = ()) -> None:
    """Write ``index.html`` with each input beside its output.

    Args:
        target: folder of the outputs and the page.
        source: folder of the inputs, to which the page links.
        pictures: input -> output, relative to their folders.
        left_out: files of `source` without output.
    """
    inputs = Path(os.path.relpath(os.path.realpath(source), os.path.realpath(target)))
    rows: list[list[str | Path]] = [[name, inputs / name, Path(output)] for name, output in pictures.items()]
    count = f"{len(rows)} picture{'s' * (len(rows) != 1)}"
    write_page(target / "index.html", "Generated pictures", count, ["name", "input", "output"], rows, left_out)


def write_page(
    path: Path,
    title: str,
    summary: str,
    heads: Sequence[str],
    rows: Sequence[Sequence[str | Path]],
    left_out: Sequence[Rejection] = (),
) -> None:
    """Write a page with one table.

    Args:
        path: the file.
        title: of the page, plain text.
        summary: one line below the title, plain text.
        heads: headings of the columns, plain text.
        rows: cells; a Path, relative to the page, is shown as a picture.
        left_out: files that are listed below the table with code and reason.
    """
    page = render(
        "pix2pix.pages",
        "gallery.html",
        title=title,
        summary=summary,
        heads=heads,
        rows=[[_cell(cell) for cell in row] for row in rows],
        left_out=[{"name": file.path, "code": file.code, "reason": file.reason} for file in left_out],
    )
    write(path, page)


def _cell(cell: str | Path) -> Cell:
    # File names are bytes; those that are not UTF-8 are percent-encoded in the URL like all others.
    return Cell(cell) if isinstance(cell, str) else Cell(cell.name, quote(os.fsencode(cell.as_posix())))
