"""The page of `pix2pix diff`: two commits' pictures side by side, with L1 and SSIM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.generated_pictures import Generation, Originals, same_inputs
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import read
from pachyderm.dag.repos import GENERATE_IMAGES, MODEL
from pachyderm.dag.short_ids import short_ids
from pachyderm.errors import RequestError
from pachyderm.record.commit_diff import FileChange, RecordDiff
from pachyderm.record.record_cache import RecordCache
from pix2pix.pages.rendering import render, write

if TYPE_CHECKING:
    from pix2pix.images.similarity import Likeness

SHOWN = 60
"""Most pairs shown on a page, the least similar first."""

COMPARED = 400
"""Most pairs compared."""

UNCOMPARED = -9.0
"""Sort key, below every -L1, of pairs without a similarity: added and deleted pictures come first."""


@dataclass(frozen=True)
class PicturePair:
    """A picture before and after.

    Attributes:
        path: its path in both commits.
        before: PNG, or None if the picture was added.
        after: PNG, or None if the picture was deleted.
        likeness: similarity of the two, or None unless both exist, can be decoded and have the same size.
        input: PNG of the prepared picture that both were generated from, if that is known.
        target: PNG of what should have been generated, if the input is A of a training pair.
    """

    path: str
    before: bytes | None
    after: bytes | None
    likeness: Likeness | None
    input: bytes | None = None
    target: bytes | None = None

    @property
    def distance(self) -> str:
        """L1 and, if it is defined, SSIM, as text; empty if the two cannot be compared."""
        if self.likeness is None:
            return ""
        ssim = "" if self.likeness.ssim is None else f", SSIM {self.likeness.ssim:.4f}"
        return f"L1 {self.likeness.l1:.4f}{ssim}"


def pictures_of(
    client: Connection, a: Commit, b: Commit, changed: Sequence[FileChange], progress: Callable[[int, int, str], None]
) -> list[PicturePair]:
    """Pair the pictures that differ between two commits; for models, those generated from the same inputs.

    Returns:
        the pairs, the least similar first.

    Raises:
        RequestError: the repo has no pictures, or the two models never generated from the same inputs.
    """
    if a.repo == MODEL.repo:
        before, after = same_inputs(client, (a, b))
        paths = [path for path in before.record.files if path in after.record.files]
        return _with_originals(client, after, _pairs(client, before.commit, after.commit, paths, progress))
    if a.repo == "checkpoint":
        raise RequestError(f"{a.repo} has weights, not pictures; compare two commits of {MODEL.repo} instead")
    pairs = _pairs(client, a, b, [file.path for file in changed if file.path.endswith(".png")], progress)
    record = RecordCache(client).record(b) if a.repo == GENERATE_IMAGES.repo else None
    return pairs if record is None else _with_originals(client, Generation(b, record), pairs)


def _with_originals(client: Connection, generation: Generation, pairs: Sequence[PicturePair]) -> list[PicturePair]:
    """Put inputs and targets beside the pairs that are shown."""
    originals = Originals(client, generation)
    found = []
    for pair in pairs[:SHOWN]:
        picture = originals.input(pair.path)
        found.append(replace(pair, input=picture, target=originals.target(pair.path, picture)))
    return [*found, *pairs[SHOWN:]]


def _pairs(
    client: Connection, a: Commit, b: Commit, paths: Sequence[str], progress: Callable[[int, int, str], None]
) -> list[PicturePair]:
    from pix2pix.images.similarity import likeness

    pairs = []
    for number, path in enumerate(paths[:COMPARED], 1):
        before, after = read(client, a.repo, a.id, path), read(client, b.repo, b.id, path)
        similarity = likeness(before, after) if before is not None and after is not None else None
        pairs.append(PicturePair(path, before, after, similarity))
        progress(number, min(len(paths), COMPARED), path)
    return sorted(pairs, key=lambda pair: (-pair.likeness.l1 if pair.likeness else UNCOMPARED, pair.path))


def write_page(
    page: Path,
    a: str,
    b: str,
    changed: Sequence[FileChange],
    records: RecordDiff | None,
    pairs: Sequence[PicturePair],
    samples: Sequence[bytes | None] = (),
) -> None:
    """Write a self-contained page; `samples` are those of the trainings of two models, PNG."""
    counts = {change: sum(file.change == change for file in changed) for change in ("added", "deleted", "changed")}
    summary = ", ".join(f"{count} {change}" for change, count in counts.items() if count) or "no file differs"
    page_text = render(
        "cli.data",
        "diff.html",
        a=short_ids(a),
        b=short_ids(b),
        samples=samples,
        summary=f"{summary}. {_mean(pairs)}",
        tables=_tables(records),
        pairs=pairs[:SHOWN],
        more=max(len(pairs) - SHOWN, 0),
        changed=[{"path": file.path, "change": file.change} for file in changed],
    )
    write(page, page_text)


def _mean(pairs: Sequence[PicturePair]) -> str:
    """Summarize the similarity of the pairs that could be compared."""
    compared = [pair.likeness for pair in pairs if pair.likeness]
    if not compared:
        return ""
    text = f"Mean L1 {sum(likeness.l1 for likeness in compared) / len(compared):.4f}"
    values = [likeness.ssim for likeness in compared if likeness.ssim is not None]
    if len(values) == len(compared):
        text += f", mean SSIM {sum(values) / len(values):.4f}"
    return f"{text} over {len(compared)} pictures."


def _tables(records: RecordDiff | None) -> list[tuple[str, list[dict[str, str]]]]:
    """Return the differences between two records: title -> rows."""
    if records is None:
        return []
    parts = {
        "Data": records.inputs,
        "Parameters": records.parameters,
        "Versions": records.versions,
        "Metrics": records.metrics,
    }
    return [
        (title, [{"": name, "before": _text(before), "after": _text(after)} for name, (before, after) in pairs])
        for title, differences in parts.items()
        if (pairs := list(dict(differences).items()))
    ]


def _text(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else short_ids(str(value))
