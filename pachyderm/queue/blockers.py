"""What is open and what it waits for."""

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


@dataclass(frozen=True)
class Blocker:
    """An output commit that has not ended.

    Attributes:
        commit: it.
        pipeline: name of the one that fills it.
        reason: what it waits for, for a person.
    """

    commit: Commit
    pipeline: str
    reason: str


MINUTE, HOUR = 60, 3600


def duration(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3 h``; a time in the future, by another machine's clock, counts as now."""
    whole = max(0, int(seconds))
    if whole < 2 * MINUTE:
        return f"{whole} s"
    return f"{whole // MINUTE} min" if whole < 2 * HOUR else f"{whole // HOUR} h"


def waiting(client: Connection, now: float) -> list[Blocker]:
    """Every output commit that has not ended, stage by stage, oldest first.

    Args:
        client: the connection.
        now: seconds since 1970.
    """
    commits = OpenCommits(client).look()
    starting = _starting(commits, now)
    older: dict[BranchName, Commit] = {}
    found = []
    for one in commits:
        pipeline = pipeline_of(one.branch).name
        start = starting.get((one.commit.id, pipeline), "")
        found.append(Blocker(one.commit, pipeline, _reason(one, older.get(one.branch), start)))
        older[one.branch] = one.commit
    return found


def _starting(commits: Sequence[OpenCommit], now: float) -> dict[tuple[str, str], str]:
    """What is known of the run that was started last, by commit set and pipeline; none where its end is known."""
    decisions: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    holders: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in commits:
        key = one.commit.id, pipeline_of(one.branch).name
        decisions[key] += decisions_of(one.commit.metadata)
        holders[key] |= {claim.holder for claim in claims_of(one.commit.metadata)}
    return {key: _of_last_start(own, holders[key], now) for key, own in decisions.items()}


def _of_last_start(decisions: Sequence[Decision], holders: Collection[str], now: float) -> str:
    if not decisions:
        return ""
    attempt = max(decision.attempt for decision in decisions)
    # By kind and not by time: the times are of different machines.
    by_kind = {decision.decision: decision for decision in decisions if decision.attempt == attempt}
    if by_kind.keys() - {ANNOUNCED, CONFIRMED}:
        return ""
    if CONFIRMED not in by_kind:
        return f"a run, whose start was announced {duration(now - moment_of(by_kind[ANNOUNCED]))} ago"
    confirmed = by_kind[CONFIRMED]
    begun = "its next stage has not begun" if confirmed.run in holders else "no stage at work yet"
    return f"run {confirmed.run} started {duration(now - moment_of(confirmed))} ago, {begun}"


def _reason(one: OpenCommit, older: Commit | None, start: str) -> str:
    claim = live_claim(one.commit.metadata)
    if one.commit.state == "finishing":
        return "Pachyderm, which checks it"
    if claim is not None:
        return f"the run {claim.holder}, which fills it"
    for source in one.inputs:
        if source.state in ("open", "finishing"):
            return f"its input {source}, which is {source.state}"
    if older is not None:
        return f"the older {older}, which is {older.state}"
    return start or "a run: pix2pix trigger, or pix2pix run"
