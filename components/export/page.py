"""The HTML report of a model commit: the gate's decision, with pictures of both models side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from components import page as stage_page
from pachyderm.client.files import REPORT
from pachyderm.record.stage_record import StageRecord

CAPTIONS = {"input": "input", "in-use": "in use", "candidate": "candidate", "target": "target"}
"""Kind of a picture -> its caption, in the order of the page."""


def page(record: StageRecord, files: Mapping[str, Path]) -> str:
    """Render the report of a model commit.

    Args:
        record: the record of the stage export.
        files: path -> local file, of the outputs and of the pictures of the comparison.

    Returns:
        self-contained HTML.
    """
    return stage_page.page(
        record,
        files,
        "export.html",
        gate=record.gate,
        metrics=_metrics(record),
        pairs=_pairs(record, files),
        commit_id=record.commit.partition("@")[2],
    )


def _metrics(record: StageRecord) -> list[dict[str, str]]:
    """Return a row for each metric of the comparison."""
    gate = record.gate
    if gate is None:
        return []
    rows = []
    for name, value in gate.candidate_metrics.items():
        other = gate.in_use_metrics.get(name)
        rows.append({"metric": name, "candidate": f"{value:.4g}", "in use": "" if other is None else f"{other:.4g}"})
    return rows


def _pairs(record: StageRecord, files: Mapping[str, Path]) -> list[tuple[str, list[tuple[str, bytes]]]]:
    """Return the pairs that are shown: (path, (caption, PNG) of each picture)."""
    pairs = []
    for number, path in enumerate(record.gate.shown if record.gate else ()):
        pictures = [
            (caption, files[f"{REPORT}comparison/{number}/{kind}.png"].read_bytes())
            for kind, caption in CAPTIONS.items()
            if f"{REPORT}comparison/{number}/{kind}.png" in files
        ]
        pairs.append((path, pictures))
    return pairs
