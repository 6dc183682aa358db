"""The page of `diff`: two commits' pictures side by side with how far they are apart, in one self-contained file.

It exists because a figure says that two models differ, and only the pictures say how.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import read
from pachyderm.dag.repos import GENERATE_IMAGES, MODEL
from pachyderm.errors import RequestError
from pachyderm.record.archive import Archive
from pachyderm.record.commit_diff import Changed, Difference
from pachyderm.record.stage_record import StageRecord

if TYPE_CHECKING:
    from pix2pix.images.likeness import Likeness

logger = logging.getLogger(__name__)

SHOWN = 60
"""Pairs on a page; what is most apart comes first."""

COMPARED = 400
"""Pairs that are compared at most."""

STYLE = """
:root{color-scheme:light dark}*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.3rem}h2{font-size:1.05rem;margin-top:1.8rem}code{font-size:12px;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{text-align:left;padding:.15rem .9rem .15rem 0;vertical-align:top;overflow-wrap:anywhere}
th{overflow-wrap:normal}
section{border-top:1px solid #8886;padding:.8rem 0}section>div{display:grid;grid-template-columns:1fr 1fr;gap:.8rem}
figure{margin:0}figcaption{font-size:12px;opacity:.75}
img{width:100%;max-width:20rem;image-rendering:pixelated;border-radius:3px;display:block}
p{margin:.3rem 0}
"""


@dataclass(frozen=True)
class PicturePair:
    """A picture before and after.

    Attributes:
        path: of it, in both commits.
        before: PNG, or None where it was added.
        after: PNG, or None where it was deleted.
        likeness: how near they are, where both are there, have one size and can be read.
    """

    path: str
    before: bytes | None
    after: bytes | None
    likeness: Likeness | None


def pictures_of(
    client: Connection, a: Commit, b: Commit, changed: Sequence[Changed], progress: Callable[[int, int, str], None]
) -> list[PicturePair]:
    """Pair the pictures that two commits differ in; for models, those that each generated from the same inputs.

    Returns:
        the pairs, those that are most apart first.

    Raises:
        RequestError: the repo holds no pictures, or the two models never generated from the same inputs.
    """
    if a.repo == MODEL.repo:
        before, after = same_inputs(client, a, b)
        paths = [path for path in before[1].files if path in after[1].files]
        return _pairs(client, before[0], after[0], paths, progress)
    if a.repo == "checkpoint":
        raise RequestError(f"{a.repo} holds weights; compare the pictures of two commits of {MODEL.repo}")
    return _pairs(client, a, b, [one.path for one in changed if one.path.endswith(".png")], progress)


def same_inputs(client: Connection, a: Commit, b: Commit) -> tuple[tuple[Commit, StageRecord], ...]:
    """The newest commits of `generate_images` that two models made from equal prepared pictures.

    Raises:
        RequestError: there are none.
    """
    archive = Archive(client)
    made: dict[str, dict[str, tuple[Commit, StageRecord]]] = {a.id: {}, b.id: {}}
    for commit in all_commits(client, GENERATE_IMAGES.repo):
        model = next((one.id for one in commit.provenance if one.repo == MODEL.repo), "")
        if commit.state != "good" or model not in made:
            continue
        record = archive.record(commit)
        if archive.trouble(commit):
            logger.warning("%s; its pictures are passed over", archive.trouble(commit))
        if record is None or not record.files:
            continue
        pictures = next(one.digest for one in record.inputs if one.repo != MODEL.repo)
        made[model].setdefault(pictures, (commit, record))
    for pictures, found in made[a.id].items():
        if pictures in made[b.id]:
            return found, made[b.id][pictures]
    raise RequestError(
        f"{a} and {b} never generated from the same pictures; promote one after the other and let them generate"
    )


def _pairs(
    client: Connection, a: Commit, b: Commit, paths: Sequence[str], progress: Callable[[int, int, str], None]
) -> list[PicturePair]:
    from pix2pix.images.likeness import likeness

    found = []
    for number, path in enumerate(paths[:COMPARED], 1):
        before, after = read(client, a.repo, a.id, path), read(client, b.repo, b.id, path)
        near = likeness(before, after) if before is not None and after is not None else None
        found.append(PicturePair(path, before, after, near))
        progress(number, min(len(paths), COMPARED), path)
    return sorted(found, key=lambda one: (-one.likeness.l1 if one.likeness else -9.0, one.path))


def write_page(
    page: Path, a: str, b: str, changed: Sequence[Changed], records: Difference | None, pairs: Sequence[PicturePair]
) -> None:
    """Write the page; it loads nothing from elsewhere."""
    counts = {word: sum(one.change == word for one in changed) for word in ("added", "deleted", "changed")}
    told = ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "no file differs"
    near = [one.likeness for one in pairs if one.likeness]
    mean = f"Mean L1 {sum(one.l1 for one in near) / len(near):.4f}" if near else ""
    if near and all(one.ssim is not None for one in near):
        mean += f", mean SSIM {sum(one.ssim or 0.0 for one in near) / len(near):.4f}"
    mean += f" over {len(near)} pictures." if near else ""
    parts = [
        f"<h1>What changed</h1><p><code>{escape(a)}</code><br>to <code>{escape(b)}</code></p>",
        f"<p>{escape(told)}. {mean}</p>",
        *(_table(title, pairs_) for title, pairs_ in _told(records)),
        *(_section(one) for one in pairs[:SHOWN]),
        f"<p>and {len(pairs) - SHOWN} more, which are nearer to each other</p>" if len(pairs) > SHOWN else "",
        _files(changed),
    ]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>What changed</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n",
        encoding="utf-8",
    )


def _told(records: Difference | None) -> list[tuple[str, dict[str, tuple[Any, Any]]]]:
    if records is None:
        return []
    return [
        ("Data", dict(records.inputs)),
        ("Parameters", dict(records.parameters)),
        ("Versions", dict(records.versions)),
        ("Metrics", dict(records.metrics)),
    ]


def _table(title: str, pairs: dict[str, tuple[Any, Any]]) -> str:
    if not pairs:
        return ""
    rows = "".join(
        f"<tr><th>{escape(name)}<td>{escape(_shown(pair[0]))}<td>{escape(_shown(pair[1]))}"
        for name, pair in pairs.items()
    )
    return f"<h2>{escape(title)}</h2><table><tr><td><th>before<th>after</tr>{rows}</table>"


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _section(pair: PicturePair) -> str:
    near = ""
    if pair.likeness:
        near = f"L1 {pair.likeness.l1:.4f}"
        near += "" if pair.likeness.ssim is None else f", SSIM {pair.likeness.ssim:.4f}"
    return (
        f"<section><p><code>{escape(pair.path)}</code> {near}</p><div>"
        f"{_figure(pair.before, 'before')}{_figure(pair.after, 'after')}</div></section>"
    )


def _figure(png: bytes | None, word: str) -> str:
    if png is None:
        return f"<figure><figcaption>not there {word}</figcaption></figure>"
    data = base64.b64encode(png).decode()
    return f'<figure><img alt="{word}" src="data:image/png;base64,{data}"><figcaption>{word}</figcaption></figure>'


def _files(changed: Sequence[Changed]) -> str:
    if not changed:
        return ""
    rows = "".join(f"<tr><td>{escape(one.path)}<td>{one.change}" for one in changed[:2000])
    return f"<details><summary>{len(changed)} files</summary><table>{rows}</table></details>"
