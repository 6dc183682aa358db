"""What is recorded about a model: its data, parameters, versions and metrics, from training and export together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pachyderm.client.commits import Commit
from pachyderm.dag.promotion import promotions_of
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.errors import RequestError
from pachyderm.queue.source_commit import source_of
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import InputRecord, StageRecord


@dataclass(frozen=True)
class ModelFacts:
    """One model.

    Attributes:
        commit: id of its commit.
        training_commit: id of the commit of `training` that it goes back to; None if that was dropped.
        message: description of that commit.
        in_use: whether it is `model@master`.
        promoted: whether it was in use at any time.
        parameters: ``stage.name`` -> value, of training and export.
        parent: id of the commit of `checkpoint` whose weights the training began with; None if it began from its seed.
        data: ``pairs``: number of files learnt and measured on; ``digest`` of their listing.
        metrics: name -> figure.
        versions: package -> version.
        problem: why something is missing; empty if nothing is.
    """

    commit: str
    training_commit: str | None
    message: str
    in_use: bool
    promoted: bool
    parent: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


def model_facts(cache: RecordCache, commit: Commit, in_use: str) -> ModelFacts:
    """Read the facts about a model.

    Args:
        cache: of the connection.
        commit: of the repo `model`.
        in_use: id of the head of `model@master`.

    Raises:
        RequestError: the commit holds no model.
    """
    exported, problem = cache.record(commit), cache.problem(commit)
    if not problem and (exported is None or not exported.files):
        raise RequestError(f"{commit} holds no model; `pix2pix models` lists those that do")
    trained = training_record(cache, exported)
    records = [record for record in (trained, exported) if record is not None]
    try:
        source: Commit | None = source_of(cache.client, commit)
    except RequestError as error:
        source, problem = None, problem or str(error)
    pairs = _input(trained, TRAINING.repo)
    return ModelFacts(
        commit=commit.id,
        training_commit=source.id if source else None,
        message=source.description if source else "",
        in_use=commit.id == in_use,
        promoted=bool(promotions_of(commit)),
        parent=trained.parent if trained else None,
        parameters={
            f"{record.stage}.{name}": parameter.value
            for record in records
            for name, parameter in record.parameters.items()
        },
        data={"pairs": pairs.files, "digest": pairs.digest} if pairs else {},
        metrics={name: value for record in records for name, value in record.metrics.items()},
        versions={name: version for record in records for name, version in record.versions.items()},
        problem=problem,
    )


def training_record(cache: RecordCache, exported: StageRecord | None) -> StageRecord | None:
    """Return the record of the training that an exported model comes from, or None."""
    source = _input(exported, CHECKPOINT.repo)
    commit = cache.commit(CHECKPOINT.repo, source.commit) if source else None
    return cache.record(commit) if commit else None


def _input(record: StageRecord | None, repo: str) -> InputRecord | None:
    return next((source for source in record.inputs if source.repo == repo), None) if record else None
