"""The page of `pix2pix check`: each finding with its pair, and the other one where there are two."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pix2pix.datasets.checks.pair_check import PairCheck
from pix2pix.datasets.checks.thumbnails import picture_faults
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
    page = render(
        "cli.folders",
        "check.html",
        folder=folder.name,
        pairs=checked.pairs,
        counts=dict(Counter(finding.code for finding in checked.findings).most_common()),
        faults=picture_faults(folder, checked.findings, PICTURED),
        left_out=[{"name": file.path, "code": file.code, "reason": file.reason} for file in checked.left_out],
    )
    write(path, page)
