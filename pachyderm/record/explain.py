"""The history of a commit set: decisions, claims, ends and differences from the commit before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.gate_decision import gate_decision_of
from pachyderm.dag.repos import PROVENANCE
from pachyderm.dag.verdict import verdict_of
from pachyderm.errors import RequestError
from pachyderm.queue.blockers import waiting
from pachyderm.queue.claims import claims_of
from pachyderm.queue.commit_sets import commits_of
from pachyderm.queue.decisions import Decision, decisions_of, stamp
from pachyderm.record.fingerprints import CHOSEN, Fingerprint, choice_of
from pachyderm.record.record_cache import RecordCache


@dataclass(frozen=True)
class CommitExplanation:
    """One output commit of a commit set.

    Attributes:
        commit: ``repo@id``.
        state: ``open``, ``finishing``, or how it ended.
        error: its error, or empty.
        claims: (number, run, reason of the end or empty) of each claim, oldest first.
        waits_for: what an open commit waits for; empty otherwise.
        outcome: ``computed``, ``reused`` or ``empty``, if a stage filled it.
        compared_with: the good commit before it, ``repo@id``, or empty.
        differs: parts of the fingerprint that differ from that commit's.
        problem: why its record, or that of a commit before it, cannot be read; or empty.
        given: parameters that were set, by the file or for the run.
        chosen: parameters that a time budget chose.
    """

    commit: str
    state: str
    error: str = ""
    claims: tuple[tuple[int, str, str], ...] = ()
    waits_for: str = ""
    outcome: str = ""
    compared_with: str = ""
    differs: tuple[str, ...] = ()
    problem: str = ""
    given: Mapping[str, Any] = field(default_factory=dict)
    chosen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """A commit set: its decisions, oldest first, and its output commits, upstream first."""

    commit_set: str
    decisions: tuple[Decision, ...]
    commits: tuple[CommitExplanation, ...]


def explain(client: Connection, commit_set: str, now: float) -> Explanation:
    """Collect the history of a commit set from the metadata and records of its commits.

    Args:
        client: the connection.
        commit_set: id of the commit set.
        now: seconds since 1970.

    Raises:
        RequestError: the commit set does not exist.
    """
    outputs = list(dict.fromkeys(branch.repo for branch in PROVENANCE))
    commits = [
        commit
        for commit in commits_of(client, commit_set)
        # The commit set also lists aliases: older commits under another id.
        if commit.id == commit_set and commit.repo in outputs
    ]
    commits.sort(key=lambda commit: outputs.index(commit.repo))
    reasons = {str(blocker.commit): blocker.reason for blocker in waiting(client, now)}
    decisions = sorted(
        (decision for commit in commits for decision in (*decisions_of(commit.metadata), *_about_model(commit))),
        key=lambda decision: decision.time,
    )
    cache = RecordCache(client)
    return Explanation(commit_set, tuple(decisions), tuple(_explain(cache, commit, reasons) for commit in commits))


def _about_model(commit: Commit) -> Iterator[Decision]:
    """Yield the gate's decision about a model commit and the verdict about it, as far as they were made."""
    decision, verdict = gate_decision_of(commit), verdict_of(commit)
    if decision is not None:
        yield Decision(stamp(decision.time), decision.outcome, decision.reason, by="gate")
    if verdict is not None:
        yield Decision(stamp(verdict.time), verdict.verdict, verdict.reason, by=verdict.by)


def _explain(cache: RecordCache, commit: Commit, reasons: dict[str, str]) -> CommitExplanation:
    record = cache.record(commit)
    earlier, passed = _previous_recorded(cache, commit) if record is not None else (None, "")
    earlier_record = cache.record(earlier) if earlier is not None else None
    differs: tuple[str, ...] = ()
    if record is not None and earlier_record is not None:
        differs = Fingerprint(record.parts).differs_from(earlier_record.parts)
    return CommitExplanation(
        commit=str(commit),
        state=commit.state,
        error=commit.error,
        claims=tuple((claim.number, claim.holder, claim.over or "") for claim in claims_of(commit.metadata)),
        waits_for=reasons.get(str(commit), ""),
        outcome=record.outcome if record is not None else "",
        compared_with=str(earlier) if earlier is not None else "",
        differs=differs,
        problem=cache.problem(commit) or passed,
        given=record.parameters_from_origin("file", "run") if record is not None else {},
        chosen=record.parameters_from_origin("budget") if record is not None else _chosen(commit.metadata),
    )


def _chosen(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what a time budget chose for an output commit that has no record yet."""
    requests = [key.removeprefix(CHOSEN) for key in metadata if key.startswith(CHOSEN)]
    return next((choice for request in requests if (choice := choice_of(metadata, request))), {})


def _previous_recorded(cache: RecordCache, commit: Commit) -> tuple[Commit | None, str]:
    """Return the nearest ancestor with a readable record, and why that of a nearer one cannot be read."""
    ancestor, problem = commit, ""
    while ancestor.parent is not None:
        try:
            ancestor = inspect(cache.client, ancestor.repo, ancestor.parent)
        except RequestError:
            break
        if cache.record(ancestor) is not None:
            return ancestor, problem
        problem = problem or cache.problem(ancestor)
    return None, problem
