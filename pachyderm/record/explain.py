"""Tells what became of a commit set and why: decisions, claims, ends, and what differed from the commit before.

It exists so that the answer comes from the commits themselves, whoever decided and wherever it ran.
"""

from __future__ import annotations

from dataclasses import dataclass

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import PROVENANCE
from pachyderm.errors import RequestError
from pachyderm.queue.blockers import waiting
from pachyderm.queue.claims import claims_of
from pachyderm.queue.commit_sets import commits_of
from pachyderm.queue.decisions import Decision, decisions_of
from pachyderm.record.archive import Archive
from pachyderm.record.fingerprints import Fingerprint
from pachyderm.record.stage_record import StageRecord


@dataclass(frozen=True)
class Story:
    """One output commit of a set.

    Attributes:
        commit: ``repo@id``.
        state: how far it is, or how it ended.
        error: its error, or empty.
        claims: who worked on it: (number, run, why it ended or empty), oldest first.
        waits_for: for an open one, what; empty otherwise.
        outcome: ``computed``, ``reused`` or ``empty``, where it was filled by a stage.
        compared_with: the good commit before it, ``repo@id``, or empty.
        differs: the parts of the fingerprint that differ from that one's.
        problem: why what the stage said cannot be read, of this commit or of one before it; or empty.
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


@dataclass(frozen=True)
class Explanation:
    """A commit set: its decisions, oldest first, and its output commits, upstream first."""

    commit_set: str
    decisions: tuple[Decision, ...]
    commits: tuple[Story, ...]


def explain(client: Connection, commit_set: str, now: float) -> Explanation:
    """Gather what is known about a set.

    Args:
        client: the connection.
        commit_set: id of the set.
        now: seconds since 1970.

    Raises:
        RequestError: there is no such set.
    """
    outputs = list(dict.fromkeys(branch.repo for branch in PROVENANCE))
    own = [one for one in commits_of(client, commit_set) if one.id == commit_set and one.repo in outputs]
    own.sort(key=lambda commit: outputs.index(commit.repo))
    reasons = {str(one.commit): one.reason for one in waiting(client, now)}
    decisions = sorted((d for one in own for d in decisions_of(one.metadata)), key=lambda d: d.time)
    archive = Archive(client)
    return Explanation(commit_set, tuple(decisions), tuple(_story(archive, one, reasons) for one in own))


def _story(archive: Archive, commit: Commit, reasons: dict[str, str]) -> Story:
    claims = tuple((claim.number, claim.holder, claim.over or "") for claim in claims_of(commit.metadata))
    waits_for = reasons.get(str(commit), "")
    record, problem = archive.record(commit), archive.trouble(commit)
    before, differs, passed = ("", (), "") if record is None else _compared(archive, commit, record)
    outcome = record.outcome if record is not None else ""
    return Story(
        str(commit), commit.state, commit.error, claims, waits_for, outcome, before, differs, problem or passed
    )


def _compared(archive: Archive, commit: Commit, record: StageRecord) -> tuple[str, tuple[str, ...], str]:
    """The nearest good ancestor whose record can be read, what differs from it, and why nearer ones cannot be."""
    at, passed = commit, ""
    while at.parent is not None:
        try:
            at = inspect(archive.client, at.repo, at.parent)
        except RequestError:
            break
        earlier = archive.record(at)
        if earlier is not None:
            return str(at), Fingerprint(record.parts).differs_from(earlier.parts), passed
        passed = passed or archive.trouble(at)
    return "", (), passed
