"""What differs between two commits of a repo: files, and for what a stage made, parameters, data, code and figures.

It exists because "what changed between these two models?" is the first question after one is worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.files import Listing, content, files
from pachyderm.dag.repos import CHECKPOINT, MODEL, PROVENANCE
from pachyderm.errors import RequestError
from pachyderm.record.archive import Archive
from pachyderm.record.fingerprints import Fingerprint
from pachyderm.record.stage_record import StageRecord

ChangeKind = Literal["added", "deleted", "changed"]


@dataclass(frozen=True)
class Changed:
    """A path at which two commits differ; `change` says what the second did to the first."""

    path: str
    change: ChangeKind


@dataclass(frozen=True)
class Difference:
    """Two output commits compared by their records.

    Attributes:
        parts: parts of the fingerprint that differ, e.g. ``code``, ``inputs.training``.
        parameters: name (of models ``stage.name``) -> (value before, value after); None where there is none.
        versions: package -> the same.
        metrics: figure -> the same.
        inputs: input repo -> (commit before, commit after), of all inputs; of models back to ``training``.
        problems: why a record cannot be read; what it would have told is left out.
    """

    parts: tuple[str, ...] = ()
    parameters: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    versions: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    metrics: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    inputs: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def changed_files(before: Listing, after: Listing) -> list[Changed]:
    """Compare two listings by content, in byte order."""
    found = []
    for path in sorted({*before, *after}, key=str.encode):
        if path not in before:
            found.append(Changed(path, "added"))
        elif path not in after:
            found.append(Changed(path, "deleted"))
        elif before[path].hash != after[path].hash:
            found.append(Changed(path, "changed"))
    return found


def diff(client: Connection, before: Commit, after: Commit) -> list[Changed]:
    """The files that differ; a stage's own report is left out, for it differs always.

    Raises:
        RequestError: the commits are of two repos, or one is not finished.
    """
    if before.repo != after.repo:
        raise RequestError(
            f"{before} and {after} are of two repos and have nothing in common; name two commits of one repo"
        )
    for commit in (before, after):
        if not commit.ended:
            raise RequestError(f"{commit} is {commit.state}; compare finished commits (pix2pix status says what runs)")
    listings = [files(client, one.repo, one.id) for one in (before, after)]
    if before.repo in {branch.repo for branch in PROVENANCE}:
        listings = [content(one) for one in listings]
    return changed_files(*listings)


def difference(client: Connection, before: Commit, after: Commit) -> Difference | None:
    """What their records tell apart, or None where one of them has none.

    Of models, also what the records of their checkpoints do: the pairs and the parameters that they were trained with.
    """
    archive = Archive(client)
    a, b = (archive.record(one) for one in (before, after))
    if a is None or b is None:
        problems = _troubles(archive, (before, after))
        return Difference(problems=problems) if problems else None
    found = compared(a, b)
    if before.repo != MODEL.repo:
        return found
    checkpoints = [_checkpoint(archive, record) for record in (a, b)]
    above = [archive.record(one) if one is not None else None for one in checkpoints]
    if above[0] is None or above[1] is None:
        return replace(found, problems=_troubles(archive, [one for one in checkpoints if one is not None]))
    trained = compared(above[0], above[1])
    return Difference(
        parts=(*found.parts, *(f"{above[0].stage}.{name}" for name in trained.parts)),
        parameters={
            **{f"{above[0].stage}.{name}": pair for name, pair in trained.parameters.items()},
            **{f"{a.stage}.{name}": pair for name, pair in found.parameters.items()},
        },
        versions={**trained.versions, **found.versions},
        metrics={**trained.metrics, **found.metrics},
        inputs={**trained.inputs, **found.inputs},
    )


def _troubles(archive: Archive, commits: Iterable[Commit]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, map(archive.trouble, commits))))


def _checkpoint(archive: Archive, model: StageRecord) -> Commit | None:
    """The checkpoint that a model was exported from, or None where it was dropped."""
    named = next((one for one in model.inputs if one.repo == CHECKPOINT.repo), None)
    return archive.commit(named.repo, named.commit) if named is not None else None


def compared(a: StageRecord, b: StageRecord) -> Difference:
    """Compare two records."""
    return Difference(
        parts=Fingerprint(a.parts).differs_from(b.parts),
        parameters=_pairs(
            {name: one.value for name, one in a.parameters.items()},
            {name: one.value for name, one in b.parameters.items()},
        ),
        versions=_pairs(a.versions, b.versions),
        metrics=_pairs(a.metrics, b.metrics),
        inputs={
            repo: (_commit(a, repo), _commit(b, repo)) for repo in sorted({one.repo for one in (*a.inputs, *b.inputs)})
        },
    )


def _commit(record: StageRecord, repo: str) -> str | None:
    return next((one.commit for one in record.inputs if one.repo == repo), None)


def _pairs(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (a.get(name), b.get(name)) for name in sorted({*a, *b}) if a.get(name) != b.get(name)}
