"""Groups open commits into items, puts them in order, and counts their attempts.

It exists apart from `reconcile` because what a item is, and what has been tried for it, are facts; what follows from
them is policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId
from pachyderm.dag.repos import pipeline_of
from pachyderm.queue.decisions import ANNOUNCED, CONFIRMED, Decision, decisions_of
from pachyderm.queue.open_commits import OpenCommit
from workflows.runners.runner import Phase
from workflows.trigger.snapshot import Inputs, SeenRun, WorkItemId

RETRY = "retry"
ENDINGS = frozenset({"failed", "vanished", "interrupted", "terminated", "unfilled"})
"""Decisions that say how an attempt ended; ``unfilled``: the run succeeded, and left a commit open."""

_TELLING = (
    Phase.TERMINATED,
    Phase.INTERRUPTED,
    Phase.VANISHED,
    Phase.FAILED,
    Phase.SUCCEEDED,
    Phase.RUNNING,
)


@dataclass(frozen=True)
class WorkItem:
    """The open commits of one set that one pipeline owns, upstream first, and what was tried for them."""

    id: WorkItemId
    commits: tuple[OpenCommit, ...]
    runs: tuple[SeenRun, ...]

    @property
    def anchor(self) -> Commit:
        """The commit that is open longest, the most downstream one: decisions are kept there."""
        return self.commits[-1].commit

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions on its commits, oldest first."""
        return tuple(sorted((d for c in self.commits for d in decisions_of(c.commit.metadata)), key=lambda d: d.time))

    @cached_property
    def attempt(self) -> int:
        """The last attempt that was announced or is known; 0 if none."""
        announced = (d.attempt for d in self.decisions if d.decision == ANNOUNCED)
        known = (r.state.key.attempt for r in self.runs if r.state.key is not None)
        return max((*announced, *known), default=0)

    @cached_property
    def forgiven(self) -> int:
        """The last attempt that a person's `retry` set aside; 0 if none."""
        return max((d.attempt for d in self.decisions if d.decision == RETRY), default=0)

    @cached_property
    def last_runs(self) -> tuple[SeenRun, ...]:
        """The runs of the last attempt; the last of them is the one that says how it ended.

        Where two creators raced there are two, and that the one too many was terminated says nothing.
        """
        own = (r for r in self.runs if r.state.key is not None and r.state.key.attempt == self.attempt)
        return tuple(sorted(own, key=lambda r: (_TELLING.index(r.state.phase), r.state.started, r.state.run)))

    @property
    def confirmed(self) -> bool:
        """Whether the last attempt's run was seen by whoever started it."""
        return any(d.decision == CONFIRMED and d.attempt == self.attempt for d in self.decisions)

    @property
    def announced_by(self) -> str:
        """Who announced the last attempt; empty if nobody did."""
        return self._announcement.by if self._announcement else ""

    @property
    def announced_where(self) -> str:
        """The place of the last attempt's run; empty if nobody announced it."""
        return self._announcement.where if self._announcement else ""

    @cached_property
    def _announcement(self) -> Decision | None:
        return next((d for d in self.decisions if d.decision == ANNOUNCED and d.attempt == self.attempt), None)

    @cached_property
    def noted(self) -> Decision | None:
        """How the last attempt ended, where that is written down."""
        ends = [d for d in self.decisions if d.attempt == self.attempt and d.decision in ENDINGS]
        return ends[-1] if ends else None

    @property
    def pinned(self) -> bool:
        """Whether it has hyperparameters of its own, and is never superseded."""
        return any(c.pinned for c in self.commits)

    @property
    def branches(self) -> frozenset[BranchName]:
        """The branches that it has an open commit on."""
        return frozenset(c.branch for c in self.commits)

    @cached_property
    def own(self) -> frozenset[CommitId]:
        """Its commits by id."""
        return frozenset(CommitId(c.commit.repo, c.commit.id) for c in self.commits)

    @property
    def checked_only(self) -> bool:
        """Whether nothing is open in it any more: the server checks the last of it."""
        return all(c.commit.state != "open" for c in self.commits)

    def inputs(self) -> Inputs:
        """What it is made from, besides its own commits."""
        bad: tuple[str, str, str] | None = None
        pending: CommitId | None = None
        for one in (i for c in self.commits if c.commit.state == "open" for i in c.inputs):
            key = CommitId(one.repo, one.id)
            if key in self.own:
                continue
            if one.state in ("failed", "superseded", "cancelled"):
                bad = bad or (one.state, str(one), one.error)
            elif one.state != "good":
                pending = pending or key
        return Inputs(bad, pending)


def work_items_of(commits: Iterable[OpenCommit], runs: Iterable[SeenRun]) -> tuple[WorkItem, ...]:
    """Group open commits into items, oldest first.

    Older means: further back on a branch that both have a commit on; where they share none, started earlier.

    Args:
        commits: branch by branch, upstream first; in each, oldest first.
        runs: all that are known.
    """
    commits = tuple(commits)
    grouped: dict[WorkItemId, list[OpenCommit]] = {}
    for commit in commits:
        grouped.setdefault(_unit_id(commit), []).append(commit)
    by_unit: dict[WorkItemId, list[SeenRun]] = {}
    for run in runs:
        if run.state.key is not None:
            by_unit.setdefault(WorkItemId(run.state.key.commit_set, run.state.key.pipeline), []).append(run)
    made = {key: WorkItem(key, tuple(own), tuple(by_unit.get(key, ()))) for key, own in grouped.items()}
    return tuple(made[key] for key in _ordered(made, chains_of(commits)))


def _unit_id(commit: OpenCommit) -> WorkItemId:
    return WorkItemId(commit.commit.id, pipeline_of(commit.branch).name)


def chains_of(commits: Iterable[OpenCommit]) -> dict[BranchName, list[WorkItemId]]:
    """Branch -> the items that have an open commit on it, oldest first."""
    chains: dict[BranchName, list[WorkItemId]] = {}
    for commit in commits:
        chains.setdefault(commit.branch, []).append(_unit_id(commit))
    return chains


def _ordered(items: Mapping[WorkItemId, WorkItem], chains: Mapping[BranchName, list[WorkItemId]]) -> list[WorkItemId]:
    """Put items in order by the chains of their branches, then by when their commits were started."""
    by_start = sorted(items, key=lambda key: (min(c.commit.started for c in items[key].commits), key))
    sorter: TopologicalSorter[WorkItemId] = TopologicalSorter()
    for key in by_start:
        sorter.add(key)
    for chain in chains.values():
        for older, newer in pairwise(chain):
            sorter.add(newer, older)
    rank = {key: number for number, key in enumerate(by_start)}
    result: list[WorkItemId] = []
    try:
        sorter.prepare()
    except CycleError:
        # A branch head was moved by hand between open commits; their starts are the best order that is left.
        return by_start
    while sorter.is_active():
        for key in sorted(sorter.get_ready(), key=rank.__getitem__):
            result.append(key)
            sorter.done(key)
    return result
