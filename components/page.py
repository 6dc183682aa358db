"""The page of an output commit, which Kubeflow shows as the task's HTML artifact."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pachyderm.record.stage_record import StageRecord
from pix2pix.pages.rendering import render

SHOWN = 24
"""Pictures on the page at most; Kubeflow's UI loads the whole page at once."""

LARGEST = 256 * 1024
"""Bytes above which a picture is left out of the page."""


def page(record: StageRecord, files: Mapping[str, Path]) -> str:
    """Render the page of an output commit.

    Args:
        record: of the stage.
        files: output path -> local file, of the computed outputs.

    Returns:
        HTML that loads nothing from elsewhere.
    """
    counts = record.counts
    outcome = {
        "computed": f"{counts.computed} computed, {counts.carried} carried over, {counts.rejected} rejected",
        "reused": f"copied from {record.commit.partition('@')[0]}@{record.reused_from}: nothing was computed",
        "empty": f"empty; awaited: {record.awaited}",
    }[record.outcome]
    pictures = [path for path in sorted(files) if path.endswith(".png") and files[path].stat().st_size <= LARGEST]
    return render(
        "components",
        "stage.html",
        record=record,
        outcome=outcome,
        pictures=[(path, files[path].read_bytes()) for path in pictures[:SHOWN]],
        more=max(len(pictures) - SHOWN, 0),
        sections=_sections(record),
    )


def _sections(record: StageRecord) -> list[tuple[str, Mapping[str, str]]]:
    """The tables of the page: title -> name -> value."""
    run = {
        **record.run,
        "started": datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "seconds": f"{record.seconds:.1f}",
        "fingerprint": record.fingerprint,
    }
    return [
        ("Metrics", {name: f"{value:.4g}" for name, value in record.metrics.items()}),
        ("Left out", {file.path: f"{file.code}: {file.reason}" for file in record.rejected}),
        ("Inputs", {source.repo: f"{source.commit} ({source.files} files)" for source in record.inputs}),
        ("Parameters", {name: f"{used.value} ({used.origin})" for name, used in record.parameters.items()}),
        ("Versions", record.versions),
        ("Run", run),
    ]
