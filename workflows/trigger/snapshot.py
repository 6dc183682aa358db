"""The snapshot: everything that one poll saw, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit
from pachyderm.queue.open_commits import OpenCommit
from workflows.settings.policy import Policy
from workflows.trigger.work_items import SeenRun, WorkItem, WorkItemId, chains_of


@dataclass(frozen=True)
class Snapshot:
    """The result of one poll.

    Attributes:
        commits: the open and finishing output commits: branch by branch, upstream first; within a branch, oldest first.
        items: the same commits grouped into work items, oldest first, with their runs.
        runs: the live runs, the last runs of the open commit sets, and the holders of live claims, as far as known.
        claim_unchanged_for: (repo, commit id, claim number) -> seconds without a heartbeat.
        silent_for: (item, attempt) -> seconds without a heartbeat of an attempt whose run is out of sight because it
            was started at another location. Absent if the run is in sight, should be, or is known to be over.
        announced_for: (item, attempt) -> seconds for which a start has been announced without being confirmed.
        gone_for: (item, attempt) -> seconds for which an attempt that had begun has had no run.
        policies: item -> its policy, by its pipeline and its own input commit.
        since_start: pipeline -> seconds since the first run of its newest started commit set; absent if never.
        slots: number of further runs that may be live at once.
        uncovered: pipeline -> its newest output commit, if it ended as superseded and what superseded it was dropped.
        atomic_start: whether no other trigger can be about to create the same run.
    """

    commits: tuple[OpenCommit, ...] = ()
    items: tuple[WorkItem, ...] = ()
    runs: tuple[SeenRun, ...] = ()
    claim_unchanged_for: Mapping[tuple[str, str, int], float] = field(default_factory=dict)
    silent_for: Mapping[tuple[WorkItemId, int], float] = field(default_factory=dict)
    announced_for: Mapping[tuple[WorkItemId, int], float] = field(default_factory=dict)
    gone_for: Mapping[tuple[WorkItemId, int], float] = field(default_factory=dict)
    policies: Mapping[WorkItemId, Policy] = field(default_factory=dict)
    since_start: Mapping[str, float] = field(default_factory=dict)
    slots: int = 1
    uncovered: Mapping[str, Commit] = field(default_factory=dict)
    atomic_start: bool = True

    @cached_property
    def chains(self) -> dict[BranchName, list[WorkItemId]]:
        """For each branch the work items with an open commit on it, oldest first."""
        return chains_of(self.commits)
