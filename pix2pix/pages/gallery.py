"""Gallery pages: pictures in rows, inputs beside outputs."""

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
    """A cell of a gallery: text, or a picture where `source` is its URL, with the text as its description."""

    text: str
    source: str = ""


def write_gallery(target: Path, source: Path, pictures: Mapping[str, str], left_out: Sequence[Rejection] = ()) -> None:
    """Write ``index.html``: input beside output.

    Args:
        target: folder of the outputs and of the page.
        source: folder of the inputs, which the page links to.
        pictures: input -> output, relative to their folders.
        left_out: files of `source` that gave no output.
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
        summary: one line below it, plain text.
        heads: of the columns, plain text.
        rows: cells; a Path is shown as the picture at that place, relative to the page.
        left_out: files that are listed below with their code and reason.
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
    # File names are bytes: what is not UTF-8 in them is percent-encoded in the URL like the rest.
    return Cell(cell) if isinstance(cell, str) else Cell(cell.name, quote(os.fsencode(cell.as_posix())))
