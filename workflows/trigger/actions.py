"""The actions that the trigger may take, and the plan that orders them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pachyderm.client.commits import Commit
from workflows.trigger.work_items import WorkItemId


@dataclass(frozen=True)
class GiveBack:
    """End the claim of a run that is over."""

    item: WorkItemId
    commit: Commit
    number: int
    why: str


@dataclass(frozen=True)
class Note:
    """Record how an attempt ended, so that it counts even after its run is forgotten.

    Attributes:
        progress: how far the commit set had come.
        kept: repo -> datums whose results shards had kept.
    """

    item: WorkItemId
    commit: Commit
    attempt: int
    decision: str
    reason: str
    run: str
    progress: str = ""
    kept: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class End:
    """Finish the open commits of a commit set with an error, upstream first."""

    item: WorkItemId
    commits: tuple[Commit, ...]
    error: str
    run: str
    attempt: int


@dataclass(frozen=True)
class Start:
    """Start an attempt on open commits; first announce it on the last of them, unless it is `announced` already."""

    item: WorkItemId
    commits: tuple[Commit, ...]
    attempt: int
    reason: str
    announced: bool


@dataclass(frozen=True)
class Terminate:
    """End a run that has nothing left to fill, or that a second creator started."""

    run: str
    why: str


@dataclass(frozen=True)
class Reopen:
    """Open fresh output commits for a pipeline's newest inputs: the commit set that superseded `commit` was dropped."""

    pipeline: str
    commit: Commit


Action = GiveBack | Note | End | Start | Terminate | Reopen


@dataclass(frozen=True)
class WaitingItem:
    """A work item for which nothing can be done now.

    Attributes:
        why: the obstacle, for people.
        seconds: time after which the obstacle disappears by itself; None if something else must happen first.
        elsewhere: whether a run at another location is waited for.
    """

    item: WorkItemId
    why: str
    seconds: float | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class ActionPlan:
    """The actions to take, in this order, and the work items that wait."""

    actions: tuple[Action, ...]
    waiting: tuple[WaitingItem, ...]

    @property
    def next_poll(self) -> float | None:
        """Seconds after which an obstacle disappears by itself; None if none does."""
        times = [entry.seconds for entry in self.waiting if entry.seconds is not None]
        return min(times) if times else None
