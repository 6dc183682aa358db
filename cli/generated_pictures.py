"""The pictures that models generated from the same inputs, with input and target beside them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import files, read
from pachyderm.dag.repos import CHECKPOINT, GENERATE_IMAGES, MODEL, PREPROCESS_IMAGES, TRAINING
from pachyderm.errors import RequestError
from pachyderm.queue.source_commit import source_of
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import StageRecord

logger = logging.getLogger(__name__)

SAMPLES = "/samples/grid.png"
"""In a checkpoint: held-out pairs as input, output and target."""


@dataclass(frozen=True)
class Generation:
    """A commit of `generate_images` and its record."""

    commit: Commit
    record: StageRecord


def same_inputs(client: Connection, models: Sequence[Commit]) -> list[Generation]:
    """Find the newest generations of models from identical prepared pictures.

    Returns:
        one per model, in their order.

    Raises:
        RequestError: the models never generated from the same pictures.
    """
    cache = RecordCache(client)
    generated: dict[str, dict[str, Generation]] = {model.id: {} for model in models}
    for commit in all_commits(client, GENERATE_IMAGES.repo):
        model = next((source.id for source in commit.provenance if source.repo == MODEL.repo), "")
        if commit.state != "good" or model not in generated:
            continue
        record = cache.record(commit)
        if cache.problem(commit):
            logger.warning("%s; its pictures are left out", cache.problem(commit))
        if record is None or not record.files:
            continue
        pictures = next(source.digest for source in record.inputs if source.repo != MODEL.repo)
        generated[model].setdefault(pictures, Generation(commit, record))
    for pictures, first in generated[models[0].id].items():
        found = [generated[model.id].get(pictures) for model in models[1:]]
        if all(found):
            return [first, *(generation for generation in found if generation)]
    names = " and ".join(map(str, models))
    raise RequestError(f"{names} never generated from the same pictures; promote each in turn and let it generate")


class Originals:
    """Inputs and targets of generated pictures.

    Args:
        client: the connection.
        generation: whose inputs are meant.
    """

    def __init__(self, client: Connection, generation: Generation) -> None:
        self._client = client
        inputs = {source.repo: source.commit for source in generation.record.inputs}
        self._prepared = inputs.get(PREPROCESS_IMAGES.repo)
        self._pairs: dict[str, str] = {}
        self._training = _training_of(client, inputs.get(MODEL.repo))
        if self._training is not None:
            listing = files(client, TRAINING.repo, self._training.id)
            self._pairs = {path.rpartition(".")[0]: path for path in listing}

    def input(self, path: str) -> bytes | None:
        """Return the prepared picture that a generated one of this path was made from; None if it is gone."""
        if self._prepared is None:
            return None
        try:
            return read(self._client, PREPROCESS_IMAGES.repo, self._prepared, path)
        except RequestError:
            return None

    def target(self, path: str, picture: bytes | None) -> bytes | None:
        """Return B of the training pair of this path, if its A is that input; None otherwise."""
        from pix2pix.images.similarity import target_of

        pair = self._pairs.get(path.rpartition(".")[0])
        if pair is None or picture is None or self._training is None:
            return None
        content = read(self._client, TRAINING.repo, self._training.id, pair)
        return target_of(content, picture) if content else None


def samples_of(client: Connection, model: Commit) -> bytes | None:
    """Return the training's sample pictures of held-out pairs, PNG; None if there are none."""
    checkpoint = next((source.id for source in model.provenance if source.repo == CHECKPOINT.repo), None)
    return read(client, CHECKPOINT.repo, checkpoint, SAMPLES) if checkpoint else None


def _training_of(client: Connection, model: str | None) -> Commit | None:
    from pachyderm.client.commits import inspect

    if model is None:
        return None
    try:
        return source_of(client, inspect(client, MODEL.repo, model))
    except RequestError:
        return None
