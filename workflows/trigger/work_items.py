"""Work items: the open commits of a commit set that one run fills, in order, with the attempts at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId
from pachyderm.dag.repos import pipeline_of
from pachyderm.queue.decisions import ANNOUNCED, CONFIRMED, Decision, decisions_of
from pachyderm.queue.open_commits import OpenCommit
from workflows.runners.runner import Phase, RunState

RETRY = "retry"
ENDINGS = frozenset({"failed", "vanished", "interrupted", "terminated", "unfilled"})
"""Decisions that record how an attempt ended; ``unfilled``: the run succeeded and left a commit open."""

_LEAST_DECISIVE_FIRST = (
    Phase.TERMINATED,
    Phase.INTERRUPTED,
    Phase.VANISHED,
    Phase.FAILED,
    Phase.SUCCEEDED,
    Phase.RUNNING,
)


@dataclass(frozen=True, order=True)
class WorkItemId:
    """A commit set and the pipeline whose stages fill its open commits."""

    commit_set: str
    pipeline: str

    def __str__(self) -> str:
        return f"{self.pipeline} {self.commit_set}"


@dataclass(frozen=True)
class SeenRun:
    """A run, and how long its state has been unchanged by the trigger's own clock.

    Attributes:
        state: as its runner reported it.
        over_for: seconds since it was over; at least 0, whatever the clocks of two machines show.
        idle_for: seconds for which it has been running without an open commit of its commit set.
    """

    state: RunState
    over_for: float = 0.0
    idle_for: float = 0.0


@dataclass(frozen=True)
class InputStatus:
    """The inputs of a work item, apart from its own commits.

    Attributes:
        failed: (state, commit, error) of the first that ended without success.
        pending: the first that is not finished.
    """

    failed: tuple[str, str, str] | None
    pending: CommitId | None


@dataclass(frozen=True)
class WorkItem:
    """The open commits of one commit set that one pipeline fills, upstream first, and the runs that tried."""

    id: WorkItemId
    commits: tuple[OpenCommit, ...]
    runs: tuple[SeenRun, ...] = ()

    @property
    def anchor(self) -> Commit:
        """The most downstream commit, which is open the longest: decisions are kept in its metadata."""
        return self.commits[-1].commit

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """All decisions on its commits, oldest first."""
        return tuple(sorted((d for c in self.commits for d in decisions_of(c.commit.metadata)), key=lambda d: d.time))

    @cached_property
    def attempt(self) -> int:
        """The last attempt that was announced or has a known run; 0 if none."""
        announced = (d.attempt for d in self.decisions if d.decision == ANNOUNCED)
        known = (r.state.key.attempt for r in self.runs if r.state.key is not None)
        return max((*announced, *known), default=0)

    @cached_property
    def forgiven(self) -> int:
        """The last attempt that a person's `retry` excluded from the budgets; 0 if none."""
        return max((d.attempt for d in self.decisions if d.decision == RETRY), default=0)

    @cached_property
    def last_runs(self) -> tuple[SeenRun, ...]:
        """The runs of the last attempt, the decisive one last.

        There are two if two creators raced; the superfluous one was terminated, which is unrelated to the work.
        """
        runs = (r for r in self.runs if r.state.key is not None and r.state.key.attempt == self.attempt)
        return tuple(
            sorted(runs, key=lambda r: (_LEAST_DECISIVE_FIRST.index(r.state.phase), r.state.started, r.state.run))
        )

    @property
    def confirmed(self) -> bool:
        """Whether the trigger that started the last attempt saw its run."""
        return any(d.decision == CONFIRMED and d.attempt == self.attempt for d in self.decisions)

    @property
    def announced_by(self) -> str:
        """Identity of the trigger that announced the last attempt; empty if none did."""
        return self._announcement.by if self._announcement else ""

    @property
    def announced_where(self) -> str:
        """Location of the last attempt's run (see `Runner.location`); empty if it was not announced."""
        return self._announcement.where if self._announcement else ""

    @cached_property
    def _announcement(self) -> Decision | None:
        return next((d for d in self.decisions if d.decision == ANNOUNCED and d.attempt == self.attempt), None)

    @cached_property
    def recorded_ending(self) -> Decision | None:
        """How the last attempt ended, if that is recorded."""
        endings = [d for d in self.decisions if d.attempt == self.attempt and d.decision in ENDINGS]
        return endings[-1] if endings else None

    @property
    def pinned(self) -> bool:
        """Whether it has its own hyperparameters, and is therefore never superseded."""
        return any(c.pinned for c in self.commits)

    @property
    def branches(self) -> frozenset[BranchName]:
        """The branches of its open commits."""
        return frozenset(c.branch for c in self.commits)

    @cached_property
    def commit_ids(self) -> frozenset[CommitId]:
        """The ids of its commits."""
        return frozenset(CommitId(c.commit.repo, c.commit.id) for c in self.commits)

    @property
    def finishing(self) -> bool:
        """Whether no commit is open any more, and the server is still validating the last of them."""
        return all(c.commit.state != "open" for c in self.commits)

    @cached_property
    def inputs(self) -> InputStatus:
        """The state of its inputs."""
        failed: tuple[str, str, str] | None = None
        pending: CommitId | None = None
        for entry in (i for c in self.commits if c.commit.state == "open" for i in c.inputs):
            commit_id = CommitId(entry.repo, entry.id)
            if commit_id in self.commit_ids:
                continue
            if entry.state in ("failed", "superseded", "cancelled"):
                failed = failed or (entry.state, str(entry), entry.error)
            elif entry.state != "good":
                pending = pending or commit_id
        return InputStatus(failed, pending)


def work_items_of(commits: Iterable[OpenCommit]) -> tuple[WorkItem, ...]:
    """Group open commits into work items, oldest first.

    Older means further back on a branch that both have a commit on; without a shared branch, started earlier.

    Args:
        commits: branch by branch, upstream first; within a branch, oldest first.
    """
    commits = tuple(commits)
    groups: dict[WorkItemId, list[OpenCommit]] = {}
    for commit in commits:
        groups.setdefault(_item_id(commit), []).append(commit)
    items = {key: WorkItem(key, tuple(group)) for key, group in groups.items()}
    return tuple(items[key] for key in _ordered(items, chains_of(commits)))


def with_runs(items: Iterable[WorkItem], runs: Iterable[SeenRun]) -> tuple[WorkItem, ...]:
    """Assign to each work item the runs that were started for it."""
    by_item: dict[WorkItemId, list[SeenRun]] = {}
    for run in runs:
        if run.state.key is not None:
            by_item.setdefault(WorkItemId(run.state.key.commit_set, run.state.key.pipeline), []).append(run)
    return tuple(replace(item, runs=tuple(by_item.get(item.id, ()))) for item in items)


def chains_of(commits: Iterable[OpenCommit]) -> dict[BranchName, list[WorkItemId]]:
    """Return for each branch the work items with an open commit on it, oldest first."""
    chains: dict[BranchName, list[WorkItemId]] = {}
    for commit in commits:
        chains.setdefault(commit.branch, []).append(_item_id(commit))
    return chains


def _item_id(commit: OpenCommit) -> WorkItemId:
    return WorkItemId(commit.commit.id, pipeline_of(commit.branch).name)


def _ordered(items: Mapping[WorkItemId, WorkItem], chains: Mapping[BranchName, list[WorkItemId]]) -> list[WorkItemId]:
    """Order work items by the chains of their branches, then by the start of their commits."""
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
