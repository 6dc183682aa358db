"""Output commits that have not ended, each with what it waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import pipeline_of
from pachyderm.queue.claims import claims_of, live_claim
from pachyderm.queue.decisions import ANNOUNCED, CONFIRMED, Decision, decisions_of, moment_of
from pachyderm.queue.open_commits import OpenCommit, OpenCommits

MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Blocker:
    """An output commit that has not ended.

    Attributes:
        commit: the output commit.
        pipeline: name of the pipeline that fills it.
        reason: what it waits for, for people.
    """

    commit: Commit
    pipeline: str
    reason: str


def duration(seconds: float) -> str:
    """Format a duration as ``40 s``, ``12 min`` or ``3 h``; negative ones, from clocks that differ, count as 0."""
    whole = max(0, int(seconds))
    if whole < 2 * MINUTE:
        return f"{whole} s"
    return f"{whole // MINUTE} min" if whole < 2 * HOUR else f"{whole // HOUR} h"


def waiting(client: Connection, now: float) -> list[Blocker]:
    """Return every output commit that has not ended: stages upstream first, in each the oldest commit first.

    Args:
        client: the connection.
        now: seconds since 1970.
    """
    commits = OpenCommits(client).scan()
    starting = _starting(commits, now)
    older: dict[BranchName, Commit] = {}
    blockers = []
    for entry in commits:
        pipeline = pipeline_of(entry.branch).name
        start = starting.get((entry.commit.id, pipeline), "")
        blockers.append(Blocker(entry.commit, pipeline, _reason(entry, older.get(entry.branch), start)))
        older[entry.branch] = entry.commit
    return blockers


def _starting(commits: Sequence[OpenCommit], now: float) -> dict[tuple[str, str], str]:
    """Return the state of each last started run by (commit set, pipeline); empty text if its end is known."""
    decisions: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for entry in commits:
        key = entry.commit.id, pipeline_of(entry.branch).name
        decisions[key] += decisions_of(entry.commit.metadata)
        holders[key] |= {claim.holder for claim in claims_of(entry.commit.metadata)}
    return {key: _last_start(taken, holders[key], now) for key, taken in decisions.items()}


def _last_start(decisions: Sequence[Decision], holders: Collection[str], now: float) -> str:
    if not decisions:
        return ""
    attempt = max(decision.attempt for decision in decisions)
    # By kind and not by time, since the times are those of different machines.
    by_kind = {decision.decision: decision for decision in decisions if decision.attempt == attempt}
    if by_kind.keys() - {ANNOUNCED, CONFIRMED}:
        return ""
    if CONFIRMED not in by_kind:
        return f"a run, whose start was announced {duration(now - moment_of(by_kind[ANNOUNCED]))} ago"
    confirmed = by_kind[CONFIRMED]
    begun = "its next stage has not begun" if confirmed.run in holders else "no stage at work yet"
    return f"run {confirmed.run} started {duration(now - moment_of(confirmed))} ago, {begun}"


def _reason(entry: OpenCommit, older: Commit | None, start: str) -> str:
    claim = live_claim(entry.commit.metadata)
    if entry.commit.state == "finishing":
        return "Pachyderm, which checks it"
    if claim is not None:
        return f"the run {claim.holder}, which fills it" + (f" and waits for {claim.waits}" if claim.waits else "")
    for source in entry.inputs:
        if source.state in ("open", "finishing"):
            return f"its input {source}, which is {source.state}"
    if older is not None:
        return f"the older {older}, which is {older.state}"
    return start or "a run: pix2pix trigger, or pix2pix run"
