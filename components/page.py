"""The HTML report of an output commit, which Kubeflow shows as the task's artifact."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pachyderm.client.files import REPORT
from pachyderm.record.stage_record import REJECTED_JSON, StageRecord
from pix2pix.pages.rendering import render

SHORT_ID = 12
"""Digits of ids and digests that people read; `stage.json` has all of them."""

MAX_PICTURES = 24
"""Maximum number of pictures on the page; Kubeflow's UI loads the whole page at once."""

MAX_ROWS = 500
"""Maximum number of files that a table of the page lists; `/_report/rejected.json` lists all that were left out."""

MAX_PICTURE_BYTES = 256 * 1024
"""Size in bytes above which a picture is left out of the page."""


def page(record: StageRecord, files: Mapping[str, Path], template: str = "stage.html", **values: Any) -> str:
    """Render the report of an output commit.

    Args:
        record: the stage's record.
        files: output path -> local file, for the computed outputs and the pictures of a gate's decision.
        template: one that extends ``stage.html``.
        values: further variables of the template.

    Returns:
        self-contained HTML.
    """
    reused_from = (record.reused_from or "")[:SHORT_ID]
    counts, (repo, _, commit_id) = record.counts, record.commit.partition("@")
    outcome = {
        "computed": f"{counts.computed} computed, {counts.carried} carried over, {counts.rejected} rejected",
        "reused": f"copied from {repo}@{reused_from}: nothing was computed",
        "empty": f"empty; awaited: {record.awaited}",
    }[record.outcome]
    pictures = [
        path
        for path in sorted(files)
        if path.endswith(".png") and not path.startswith(REPORT) and files[path].stat().st_size <= MAX_PICTURE_BYTES
    ]
    return render(
        "components",
        template,
        record=record,
        commit=f"{repo}@{commit_id[:SHORT_ID]}",
        outcome=outcome,
        pictures=[(path, files[path].read_bytes()) for path in pictures[:MAX_PICTURES]],
        more=max(len(pictures), counts.computed if pictures else 0) - min(len(pictures), MAX_PICTURES),
        sections=_sections(record),
        **values,
    )


def _sections(record: StageRecord) -> list[tuple[str, Mapping[str, str]]]:
    """Return the tables of the page: (title, name -> value)."""
    parameters = record.parameters.items()
    run = {
        **record.run,
        "started": datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "seconds": f"{record.seconds:.1f}",
        "fingerprint": record.fingerprint[:SHORT_ID],
    }
    return [
        ("Metrics", {name: f"{value:.4g}" for name, value in record.metrics.items()}),
        ("Probable faults of the inputs", _findings(record)),
        ("Left out", _left_out(record)),
        ("Inputs", {source.repo: f"{source.commit[:SHORT_ID]} ({source.files} files)" for source in record.inputs}),
        ("Parameters", {name: f"{json.dumps(given.value)} ({given.origin})" for name, given in parameters}),
        ("Versions", record.versions),
        ("Run", run),
    ]


def _left_out(record: StageRecord) -> dict[str, str]:
    rows = {file.path: f"{file.code}: {file.reason}" for file in record.rejected[:MAX_ROWS]}
    more = len(record.rejected) - len(rows)
    return {**rows, "...": f"and {more} more, which {REJECTED_JSON} lists"} if more else rows


def _findings(record: StageRecord) -> dict[str, str]:
    if not record.check:
        return {}
    listed: dict[str, str] = {code: str(count) for code, count in record.check.counts.items()}
    for finding in record.check.worst:
        text = f"{finding.code}: {finding.what}; {finding.remedy}"
        listed[finding.path] = f"{listed[finding.path]} | {text}" if finding.path in listed else text
    return listed
