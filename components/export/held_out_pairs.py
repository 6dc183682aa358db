"""The pairs to compare two models on: those that both of their trainings held out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pachyderm.client.commits import Commit, CommitId
from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.files import FileEntry, content, files
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.record.stage_record import readable_record
from pix2pix.progress import Progress, silent

MOST = 1000
"""Pairs at most. Their means are then known to a few thousandths, and larger sets would take hours on a CPU."""


def fetch_held_out(
    client: Connection, ours: Commit | CommitId, theirs: Commit | None, folder: Path, progress: Progress = silent
) -> tuple[list[str], bool]:
    """Fetch the pairs that two trainings held out, or those of the first if they have none in common.

    Args:
        client: the connection.
        ours: the checkpoint of the first model.
        theirs: the second model; None for none.
        folder: folder for the pairs; created if missing.
        progress: called after each pair.

    Returns:
        paths relative to `folder`, at most `MOST`, chosen and ordered by content; and whether both trainings held them
        out.
    """
    training, own = _held_out(client, ours)
    common = (
        frozenset(entry.hash for entry in _of_model(client, theirs).values()) if theirs is not None else frozenset()
    )
    shared = {path: entry for path, entry in own.items() if entry.hash in common}
    chosen = sorted((shared or own).items(), key=lambda item: (item[1].hash, item[0]))[:MOST]
    if training is not None:
        download(client, training.repo, training.id, dict(chosen), folder, progress=progress)
    return [path.lstrip("/") for path, _ in chosen], bool(shared)


def _of_model(client: Connection, model: Commit) -> Mapping[str, FileEntry]:
    """Return the pairs that the training of a model held out; none if that cannot be known."""
    checkpoint = next((source for source in model.provenance if source.repo == CHECKPOINT.repo), None)
    return _held_out(client, checkpoint)[1] if checkpoint is not None else {}


def _held_out(client: Connection, checkpoint: Commit | CommitId) -> tuple[CommitId | None, dict[str, FileEntry]]:
    """Return the training commit of a checkpoint and the pairs in it that were held out, as far as that is recorded."""
    record = readable_record(client, checkpoint.repo, checkpoint.id)
    source = next((entry for entry in record.inputs if entry.repo == TRAINING.repo), None) if record else None
    if record is None or source is None or not record.held_out:
        return None, {}
    listing = content(files(client, source.repo, source.commit))
    return CommitId(source.repo, source.commit), {path: listing[path] for path in record.held_out if path in listing}
