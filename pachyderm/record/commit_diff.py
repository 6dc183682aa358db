"""Differences between two commits of a repo: files and, for output commits, what their records state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import Listing, content, files
from pachyderm.dag.repos import CHECKPOINT, MODEL, PROVENANCE
from pachyderm.errors import RequestError
from pachyderm.record.fingerprints import Fingerprint
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import StageRecord

ChangeKind = Literal["added", "deleted", "changed"]


@dataclass(frozen=True)
class FileChange:
    """A path at which two commits differ, and how the second one differs from the first."""

    path: str
    change: ChangeKind


@dataclass(frozen=True)
class RecordDiff:
    """Differences between the records of two output commits.

    Attributes:
        parts: parts of the fingerprint that differ, e.g. ``code``, ``inputs.training``.
        parameters: name (of models ``stage.name``) -> (value before, value after); None for a missing value.
        versions: package -> (version before, version after).
        metrics: name -> (value before, value after).
        inputs: input repo -> (commit before, commit after), of all inputs; of models back to ``training``.
        problems: why a record cannot be read; what it would have contributed is left out.
    """

    parts: tuple[str, ...] = ()
    parameters: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    versions: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    metrics: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def changed_files(before: Listing, after: Listing) -> list[FileChange]:
    """Compare two listings by content hash; the changes are in byte order of their paths."""
    changes = []
    for path in sorted({*before, *after}, key=str.encode):
        if path not in before:
            changes.append(FileChange(path, "added"))
        elif path not in after:
            changes.append(FileChange(path, "deleted"))
        elif before[path].hash != after[path].hash:
            changes.append(FileChange(path, "changed"))
    return changes


def diff(client: Connection, before: Commit, after: Commit) -> list[FileChange]:
    """Return the files that differ, without a stage's report, which always differs.

    Raises:
        RequestError: the commits belong to two repos, or one is not finished.
    """
    if before.repo != after.repo:
        raise RequestError(
            f"{before} and {after} belong to two repos and cannot be compared; name two commits of one repo"
        )
    for commit in (before, after):
        if not commit.ended:
            raise RequestError(
                f"{commit} is {commit.state}; compare finished commits (`pix2pix status` shows what is running)"
            )
    listings = [files(client, commit.repo, commit.id) for commit in (before, after)]
    if before.repo in {branch.repo for branch in PROVENANCE}:
        listings = [content(listing) for listing in listings]
    return changed_files(*listings)


def diff_records(client: Connection, before: Commit, after: Commit) -> RecordDiff | None:
    """Compare the records of two output commits; None if one of them has no record.

    For models, the records of their checkpoints are compared as well: training pairs and training parameters.
    """
    cache = RecordCache(client)
    a, b = cache.record(before), cache.record(after)
    if a is None or b is None:
        problems = _problems(cache, (before, after))
        return RecordDiff(problems=problems) if problems else None
    exported = compare(a, b)
    if before.repo != MODEL.repo:
        return exported
    checkpoints = [_checkpoint(cache, record) for record in (a, b)]
    c, d = (cache.record(commit) if commit is not None else None for commit in checkpoints)
    if c is None or d is None:
        return replace(exported, problems=_problems(cache, filter(None, checkpoints)))
    trained = compare(c, d)
    return RecordDiff(
        parts=(*exported.parts, *(f"{c.stage}.{name}" for name in trained.parts)),
        parameters={
            **{f"{c.stage}.{name}": values for name, values in trained.parameters.items()},
            **{f"{a.stage}.{name}": values for name, values in exported.parameters.items()},
        },
        versions={**trained.versions, **exported.versions},
        metrics={**trained.metrics, **exported.metrics},
        inputs={**trained.inputs, **exported.inputs},
    )


def _problems(cache: RecordCache, commits: Iterable[Commit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(cache.problem, commits))))


def _checkpoint(cache: RecordCache, model: StageRecord) -> Commit | None:
    """Return the checkpoint from which a model was exported, or None if it was dropped."""
    commit_id = _input_commit(model, CHECKPOINT.repo)
    return cache.commit(CHECKPOINT.repo, commit_id) if commit_id is not None else None


def compare(a: StageRecord, b: StageRecord) -> RecordDiff:
    """Compare two records."""
    repos = sorted({source.repo for source in (*a.inputs, *b.inputs)})
    return RecordDiff(
        parts=Fingerprint(a.parts).differs_from(b.parts),
        parameters=_differing(
            {name: parameter.value for name, parameter in a.parameters.items()},
            {name: parameter.value for name, parameter in b.parameters.items()},
        ),
        versions=_differing(a.versions, b.versions),
        metrics=_differing(a.metrics, b.metrics),
        inputs={repo: (_input_commit(a, repo), _input_commit(b, repo)) for repo in repos},
    )


def _input_commit(record: StageRecord, repo: str) -> str | None:
    return next((source.commit for source in record.inputs if source.repo == repo), None)


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)}
