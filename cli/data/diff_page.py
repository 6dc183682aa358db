"""The page of `pix2pix diff`: two commits' pictures side by side, with L1 and SSIM."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import read
from pachyderm.dag.repos import GENERATE_IMAGES, MODEL
from pachyderm.errors import RequestError
from pachyderm.record.commit_diff import FileChange, RecordDiff
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import StageRecord
from pix2pix.pages.rendering import render, write

if TYPE_CHECKING:
    from pix2pix.images.likeness import Likeness

logger = logging.getLogger(__name__)

SHOWN = 60
"""Pairs on a page; what is most apart comes first."""

COMPARED = 400
"""Pairs that are compared at most."""


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

    @property
    def distance(self) -> str:
        """L1 and, where it is defined, SSIM, as text; empty where the two cannot be compared."""
        if self.likeness is None:
            return ""
        ssim = "" if self.likeness.ssim is None else f", SSIM {self.likeness.ssim:.4f}"
        return f"L1 {self.likeness.l1:.4f}{ssim}"


def pictures_of(
    client: Connection, a: Commit, b: Commit, changed: Sequence[FileChange], progress: Callable[[int, int, str], None]
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
    cache = RecordCache(client)
    made: dict[str, dict[str, tuple[Commit, StageRecord]]] = {a.id: {}, b.id: {}}
    for commit in all_commits(client, GENERATE_IMAGES.repo):
        model = next((one.id for one in commit.provenance if one.repo == MODEL.repo), "")
        if commit.state != "good" or model not in made:
            continue
        record = cache.record(commit)
        if cache.problem(commit):
            logger.warning("%s; its pictures are passed over", cache.problem(commit))
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
    page: Path, a: str, b: str, changed: Sequence[FileChange], records: RecordDiff | None, pairs: Sequence[PicturePair]
) -> None:
    """Write the page; it loads nothing from elsewhere."""
    counts = {word: sum(one.change == word for one in changed) for word in ("added", "deleted", "changed")}
    summary = ", ".join(f"{number} {word}" for word, number in counts.items() if number) or "no file differs"
    near = [one.likeness for one in pairs if one.likeness]
    mean = f"Mean L1 {sum(one.l1 for one in near) / len(near):.4f}" if near else ""
    if near and all(one.ssim is not None for one in near):
        mean += f", mean SSIM {sum(one.ssim or 0.0 for one in near) / len(near):.4f}"
    mean += f" over {len(near)} pictures." if near else ""
    page_text = render(
        "cli.data",
        "diff.html",
        a=a,
        b=b,
        summary=f"{summary}. {mean}",
        tables=_tables(records),
        pairs=pairs[:SHOWN],
        more=max(len(pairs) - SHOWN, 0),
        changed=[{"path": file.path, "change": file.change} for file in changed],
    )
    write(page, page_text)


def _tables(records: RecordDiff | None) -> list[tuple[str, list[dict[str, str]]]]:
    """What differs between two records: title -> rows."""
    if records is None:
        return []
    parts = {
        "Data": records.inputs,
        "Parameters": records.parameters,
        "Versions": records.versions,
        "Metrics": records.metrics,
    }
    return [
        (title, [{"": name, "before": _shown(before), "after": _shown(after)} for name, (before, after) in pairs])
        for title, differences in parts.items()
        if (pairs := list(dict(differences).items()))
    ]


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
