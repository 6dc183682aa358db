"""The colours of the label maps that a model was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from pachyderm.client.connection import Connection
from pachyderm.client.files import content, files, read
from pachyderm.dag.repos import CHECKPOINT, MODEL, TRAINING
from pachyderm.record.record_cache import RecordCache
from pix2pix.errors import PictureError

SAMPLED = 8
"""Training pairs that are looked at."""
MOST_COLOURS = 24
"""Inputs with more distinct colours are not label maps."""
SHARE = 0.98
"""Share of the pixels that the colours of the palette must cover."""
LARGEST = 16 * 2**20
"""Bytes of a pair that is looked at."""


def palette_of(client: Connection, model: str, direction: str) -> tuple[str, ...]:
    """Return the label colours as ``#rrggbb``, most frequent first; empty if the inputs are not label maps.

    Args:
        client: the connection.
        model: id of the model's commit.
        direction: ``AtoB`` or ``BtoA``: which half of a pair is the model's input.
    """
    training = _training_commit(RecordCache(client), model)
    if training is None:
        return ()
    pairs = content(files(client, TRAINING.repo, training))
    step = max(1, len(pairs) // SAMPLED)
    sampled = [path for path in list(pairs)[::step][:SAMPLED] if pairs[path].bytes <= LARGEST]
    contents = (read(client, TRAINING.repo, training, path) or b"" for path in sampled)
    return label_colours(contents, direction)


def label_colours(pairs: Iterable[bytes], direction: str) -> tuple[str, ...]:
    """Return the colours of the input halves of pairs, or nothing if they are not a few flat colours."""
    from pix2pix.images.codec import decode_bytes

    counts: Counter[tuple[int, int, int]] = Counter()
    for data in pairs:
        try:
            pixels = decode_bytes(data)
        except PictureError:
            continue
        half = pixels.shape[1] // 2
        inputs = pixels[:, :half] if direction == "AtoB" else pixels[:, half:]
        counts.update((red, green, blue) for red, green, blue in inputs.reshape(-1, 3).tolist())
    total = sum(counts.values())
    common = counts.most_common(MOST_COLOURS)
    if not total or sum(count for _, count in common) < SHARE * total:
        return ()
    return tuple("#{:02x}{:02x}{:02x}".format(*colour) for colour, count in common if count > total / 2000)


def _training_commit(cache: RecordCache, model: str) -> str | None:
    """Return the id of the training commit that a model was made from."""
    commit = cache.commit(MODEL.repo, model)
    for repo in (CHECKPOINT.repo, TRAINING.repo):
        record = cache.record(commit) if commit is not None else None
        source = next((source for source in record.inputs if source.repo == repo), None) if record else None
        if source is None:
            return None
        if repo == TRAINING.repo:
            return source.commit
        commit = cache.commit(repo, source.commit)
    return None
