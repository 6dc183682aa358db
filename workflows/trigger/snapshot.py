"""What the trigger sees at one look, and what it may do about it, as plain frozen data.

It exists so that deciding (`reconcile`) is a pure function from the one to the other, and can be tested by the
thousand without a server, a clock or a process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pachyderm.client.commits import Commit, CommitId
from pachyderm.queue.open_commits import OpenCommit
from workflows.runners.runner import RunState
from workflows.settings.policy import Policy


@dataclass(frozen=True, order=True)
class WorkItemId:
    """What one run fills: the open commits of a commit set that the stages of a pipeline own."""

    commit_set: str
    pipeline: str

    def __str__(self) -> str:
        return f"{self.pipeline} {self.commit_set}"


@dataclass(frozen=True)
class SeenRun:
    """A run, and for how long it has been as it is by the observer's own clock.

    Attributes:
        state: as its runner told it.
        over_for: seconds since it was over; never less than 0, whatever the clocks of two machines say.
        idle_for: seconds for which it has been running without an open commit of its set.
    """

    state: RunState
    over_for: float = 0.0
    idle_for: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """One look.

    Attributes:
        commits: the open and finishing output commits: branch by branch, upstream first; in each, oldest first.
        runs: the live runs, the last runs of the open sets, and the holders of live claims, as far as they are known.
        quiet: (repo, commit id, claim number) -> seconds without a change of its sign of life.
        silent_for: (item, attempt) -> seconds without a change at the claims of an attempt whose run is out of sight:
            it was started at another place. Absent where the run is in sight, should be, or is known to be over.
        intent_for: (item, attempt) -> seconds for which a start has been announced and not been confirmed.
        gone_for: (item, attempt) -> seconds for which an attempt that had begun has had no run.
        policies: item -> its policy, by its pipeline and its own input commit.
        since_start: pipeline -> seconds since the first run of its newest started set; absent if never.
        slots: how many more runs may be live at once.
        uncovered: pipeline -> its newest output commit, where that ended as superseded and what superseded it is gone.
        sole_creator: whether nobody else can be about to create the same run.
    """

    commits: tuple[OpenCommit, ...] = ()
    runs: tuple[SeenRun, ...] = ()
    quiet: Mapping[tuple[str, str, int], float] = field(default_factory=dict)
    silent_for: Mapping[tuple[WorkItemId, int], float] = field(default_factory=dict)
    intent_for: Mapping[tuple[WorkItemId, int], float] = field(default_factory=dict)
    gone_for: Mapping[tuple[WorkItemId, int], float] = field(default_factory=dict)
    policies: Mapping[WorkItemId, Policy] = field(default_factory=dict)
    since_start: Mapping[str, float] = field(default_factory=dict)
    slots: int = 1
    uncovered: Mapping[str, Commit] = field(default_factory=dict)
    sole_creator: bool = True


@dataclass(frozen=True)
class GiveBack:
    """End the claim of a run that is over."""

    item: WorkItemId
    commit: Commit
    number: int
    why: str


@dataclass(frozen=True)
class Note:
    """Record how an attempt ended, so that it counts even when its run is forgotten.

    Attributes:
        progress: how far the commit set had come.
    """

    item: WorkItemId
    commit: Commit
    attempt: int
    decision: str
    reason: str
    run: str
    progress: str = ""


@dataclass(frozen=True)
class End:
    """Finish a set's open commits with an error, upstream first."""

    item: WorkItemId
    commits: tuple[Commit, ...]
    error: str
    run: str
    attempt: int


@dataclass(frozen=True)
class Start:
    """Start an attempt on open commits; announced on the last of them first, unless it is `announced` already."""

    item: WorkItemId
    commits: tuple[Commit, ...]
    attempt: int
    reason: str
    announced: bool


@dataclass(frozen=True)
class Terminate:
    """End a run that has nothing to fill any more, or that a second creator started."""

    run: str
    why: str


@dataclass(frozen=True)
class Reopen:
    """Open fresh output commits for a pipeline's newest inputs: the set that superseded `commit` was dropped."""

    pipeline: str
    commit: Commit


Action = GiveBack | Note | End | Start | Terminate | Reopen


@dataclass(frozen=True)
class WaitingItem:
    """A item that nothing is done about now.

    Attributes:
        why: for a person.
        seconds: after which it changes by itself; None where something else must happen first.
        elsewhere: whether a run of another place is waited for.
    """

    item: WorkItemId
    why: str
    seconds: float | None = None
    elsewhere: bool = False


@dataclass(frozen=True)
class ActionPlan:
    """What to do, in this order, and what waits."""

    actions: tuple[Action, ...]
    waiting: tuple[WaitingItem, ...]

    @property
    def next_look(self) -> float | None:
        """Seconds after which something waiting changes by itself."""
        times = [one.seconds for one in self.waiting if one.seconds is not None]
        return min(times) if times else None


@dataclass(frozen=True)
class Inputs:
    """Commits of a unit's inputs that are not its own, by what they mean for it."""

    bad: tuple[str, str, str] | None
    """(word, commit, error) of the first that ended without success."""
    pending: CommitId | None
    """The first that is not finished."""
