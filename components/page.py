"""The page that a stage shows: what it did, with pictures, as one self-contained HTML file.

It exists because people look at results before they read them; Kubeflow shows the page as the task's HTML artifact.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from pachyderm.record.stage_record import StageRecord

SHOWN = 24
"""How many pictures the page carries; Kubeflow's UI loads the whole page at once."""

LARGEST = 256 * 1024
"""Bytes above which a picture is not put into the page."""

STYLE = """
:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.5rem 0}td,th{text-align:left;padding:.15rem .9rem .15rem 0;vertical-align:top}
figure{display:inline-block;margin:0 .6rem .6rem 0}figcaption{font-size:12px;opacity:.7}code{font-size:13px}
img{image-rendering:pixelated;min-width:96px;max-width:100%;border-radius:3px}h2{font-size:1.05rem;margin-top:1.6rem}
"""


def page(record: StageRecord, files: Mapping[str, Path]) -> str:
    """Draw the page of an output commit.

    Args:
        record: what the stage says.
        files: output path -> local file, of what was computed.
    """
    counts = record.counts
    happened = {
        "computed": f"{counts.computed} computed, {counts.carried} carried over, {counts.rejected} rejected",
        "reused": f"copied from {record.commit.partition('@')[0]}@{record.reused_from}: nothing was computed",
        "empty": f"empty; awaited: {record.awaited}",
    }[record.outcome]
    pictures = [path for path in sorted(files) if path.endswith(".png") and files[path].stat().st_size <= LARGEST]
    parts = [
        f"<h1>{escape(record.stage)}</h1><p><code>{escape(record.commit)}</code>: {escape(happened)}</p>",
        *(f"<p>{escape(note)}</p>" for note in record.notes),
        "".join(_figure(path, files[path]) for path in pictures[:SHOWN]),
        f"<p>and {len(pictures) - SHOWN} more</p>" if len(pictures) > SHOWN else "",
        _table("Metrics", {name: f"{value:.4g}" for name, value in record.metrics.items()}),
        _table("Left out", {one.path: f"{one.code}: {one.reason}" for one in record.rejected}),
        _table("Inputs", {one.repo: f"{one.commit} ({one.files} files)" for one in record.inputs}),
        _table("Parameters", {name: f"{one.value} ({one.origin})" for name, one in record.parameters.items()}),
        _table("Versions", record.versions),
        _table(
            "Run",
            {
                **record.run,
                "started": datetime.fromtimestamp(record.started, UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
                "seconds": f"{record.seconds:.1f}",
                "fingerprint": record.fingerprint,
            },
        ),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(record.stage)} {escape(record.commit)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _figure(path: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<figure><img alt="" src="data:image/png;base64,{data}"><figcaption>{escape(path)}</figcaption></figure>'


def _table(title: str, rows: Mapping[str, str]) -> str:
    if not rows:
        return ""
    body = "".join(f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
    return f"<h2>{escape(title)}</h2><table>{body}</table>"
