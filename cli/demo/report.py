"""The demo's report: the timeline, the pictures of both models, samples over time, curves and the chain of commits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.demo.timeline import TimelineEntry
from pachyderm.client.commits import all_commits
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import read
from pachyderm.dag.repos import REPOS
from pachyderm.dag.short_ids import SHORT_ID
from pix2pix.pages.rendering import render, write

RECORDS, LINEAGE = "records", "lineage"
"""Folders beside the report: the stages' own reports, and a lineage page for each output commit."""

COLUMNS = (
    ("input", Path("source") / "labels"),
    ("first model", Path("generated-1")),
    ("second model", Path("generated-2")),
    ("after the rollback", Path("generated-3")),
    ("target", Path("source") / "targets"),
)
"""Caption and folder of each column of pictures; the demo downloads the generated ones after the step named."""


def write_report(
    folder: Path, target: Target, steps: Sequence[Mapping[str, Any]], timeline: Sequence[TimelineEntry]
) -> Path:
    """Write ``report.html``, the stages' reports that it links to, and ``picture.png`` (input | generated | target).

    Args:
        folder: folder of the demo; ``lineage/`` in it holds the pages that the report links to.
        target: where its data is.
        steps: rows of the closing table.
        timeline: the steps that moved a branch head.

    Returns:
        path of the page.
    """
    _write_records(folder / RECORDS, timeline)
    names = sorted(path.name for path in (folder / "generated-1").glob("*.png"))
    _picture(folder, names[:6])
    with connect(target) as client:
        trainings = _trainings(client)
        chain = _chain(client)
    page = folder / "report.html"
    text = render(
        "cli.demo",
        "demo.html",
        columns=[caption for caption, _ in COLUMNS],
        rows=[(name, [(folder / source / name).read_bytes() for _, source in COLUMNS]) for name in names],
        timeline=timeline,
        steps=steps,
        trainings=trainings,
        chain=chain,
        records=RECORDS,
        lineage=LINEAGE,
    )
    write(page, text)
    return page


def _write_records(folder: Path, timeline: Sequence[TimelineEntry]) -> None:
    folder.mkdir(exist_ok=True)
    for entry in timeline:
        for commit in entry.commits:
            if commit.report is not None:
                (folder / commit.page).write_bytes(commit.report)


def _picture(folder: Path, names: Sequence[str]) -> None:
    """Write a grid of pictures at twice their size, two triples in a row."""
    import numpy as np

    from pix2pix.images.codec import decode, encode_png
    from pix2pix.training.samples import grid

    sources = dict(COLUMNS)
    folders = [folder / sources[caption] for caption in ("input", "first model", "target")]
    triples = [[np.kron(decode(source / name), np.ones((2, 2, 1), np.uint8)) for source in folders] for name in names]
    half = len(triples) // 2
    encode_png(grid([triples[i] + triples[half + i] for i in range(half)]), folder / "picture.png")


def _trainings(client: Connection) -> list[tuple[str, bytes | None, list[tuple[str, Any]]]]:
    """Return commit id, sample pictures over time as PNG, and curves (title, SVG) of each training, oldest first."""
    from pix2pix.pages.training_report import curves_of
    from pix2pix.training import metrics_log

    trainings = []
    for commit in reversed(list(all_commits(client, "checkpoint"))):
        log = read(client, "checkpoint", commit.id, "/metrics.jsonl")
        if log:
            samples = read(client, "checkpoint", commit.id, "/samples/over_time.png")
            trainings.append((commit.id, samples, curves_of(metrics_log.parse(log))))
    return trainings


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
