"""The demo's report: pictures, curves and the chain of commits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.console import SHORT_ID
from pachyderm.client.commits import all_commits
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import read
from pachyderm.dag.repos import REPOS
from pix2pix.pages.rendering import render, write


def write_report(folder: Path, target: Target, steps: Sequence[Mapping[str, Any]]) -> Path:
    """Write ``report.html`` and ``picture.png`` (input | generated | target).

    Args:
        folder: folder of the demo.
        target: where its data is.
        steps: rows of the closing table.

    Returns:
        path of the page.
    """
    from pix2pix.pages.training_report import curves_of

    names = sorted(path.name for path in (folder / "generated-3").glob("*.png"))
    folders = (folder / "source" / "labels", folder / "generated-3", folder / "source" / "targets")
    rows = [tuple(source / name for source in folders) for name in names]
    _picture(rows[:6], folder / "picture.png")
    with connect(target) as client:
        trainings = [
            (commit.id, _history(client, commit.id))
            for commit in reversed(list(all_commits(client, "checkpoint")))
            if read(client, "checkpoint", commit.id, "/metrics.jsonl")
        ]
        chain = _chain(client)
    page = folder / "report.html"
    captions = ("input", "generated", "target")
    text = render(
        "cli.demo",
        "demo.html",
        rows=[[(caption, path.read_bytes()) for caption, path in zip(captions, row, strict=True)] for row in rows],
        steps=steps,
        trainings=[(commit, curves_of(history)) for commit, history in trainings],
        chain=chain,
    )
    write(page, text)
    return page


def _picture(rows: Sequence[Sequence[Path]], target: Path) -> None:
    """Write a grid of pictures at twice their size, two triples in a row."""
    import numpy as np

    from pix2pix.images.codec import decode, encode_png
    from pix2pix.training.samples import grid

    triples = [[np.kron(decode(path), np.ones((2, 2, 1), np.uint8)) for path in row] for row in rows]
    half = len(triples) // 2
    encode_png(grid([triples[i] + triples[half + i] for i in range(half)]), target)


def _history(client: Connection, commit_id: str) -> list[dict[str, Any]]:
    """Read the metrics of a training, one entry per evaluation."""
    text = read(client, "checkpoint", commit_id, "/metrics.jsonl") or b""
    return [json.loads(line) for line in text.splitlines()]


def _chain(client: Connection) -> list[dict[str, str]]:
    """Return a row for each commit, with the commits it was made from."""
    rows = []
    for repo in REPOS:
        for commit in all_commits(client, repo):
            record = read(client, repo, commit.id, "/_report/stage.json")
            rows.append(
                {
                    "commit": _short(commit.repo, commit.id),
                    "made from": ", ".join(_short(source.repo, source.id) for source in commit.provenance) or "a user",
                    "state": commit.state,
                    "outcome": json.loads(record)["outcome"] if record else "",
                }
            )
    return rows


def _short(repo: str, commit_id: str) -> str:
    return f"{repo}@{commit_id[:SHORT_ID]}"
