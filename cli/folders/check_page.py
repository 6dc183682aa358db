"""The page of `pix2pix check`: each finding with its pair, and the other one where there are two."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pix2pix.datasets.pair_check import PairCheck, thumbnail
from pix2pix.images.codec import png_bytes
from pix2pix.pages.rendering import render, write

PICTURED = 300
"""Findings with thumbnails; of the others the page has the text alone."""


def write_page(path: Path, folder: Path, checked: PairCheck) -> None:
    """Write the page; thumbnails are part of it.

    Args:
        path: the file.
        folder: of the pairs.
        checked: what the check found.

    Raises:
        OSError: `path` cannot be written.
    """
    rows = []
    for index, finding in enumerate(checked.findings):
        names = [name for name in (finding.path, finding.other) if name] if index < PICTURED else []
        rows.append({"finding": finding, "pictures": [(name, _png(folder / name)) for name in names]})
    page = render(
        "cli.folders",
        "check.html",
        folder=folder.name,
        pairs=checked.pairs,
        counts=dict(Counter(finding.code for finding in checked.findings).most_common()),
        rows=rows,
        left_out=[{"name": file.path, "code": file.code, "reason": file.reason} for file in checked.left_out],
    )
    write(path, page)


def _png(path: Path) -> bytes | None:
    pixels = thumbnail(path)
    return None if pixels is None else png_bytes(pixels)
