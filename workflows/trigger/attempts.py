"""How the attempts at a work item ended, and the budgets of failures and interruptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pachyderm.client.commits import Commit
from pachyderm.queue.claims import Claim, claims_of
from pachyderm.queue.decisions import CONFIRMED, Decision
from workflows.runners.runner import Phase, RunState
from workflows.settings.policy import Policy
from workflows.trigger.work_items import ENDINGS, WorkItem

INTERRUPTIONS = frozenset({Phase.INTERRUPTED.value, Phase.VANISHED.value})
"""Endings without an error of the work itself: killed, evicted, node lost, ended together with the trigger."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    Attributes:
        attempt: its number, from 1.
        decision: one of `ENDINGS`.
        reason: the cause, for people.
        run: id of its run, or empty.
        progress: progress of the commit set at that time (see `progress_of`).
        kept: repo -> datums whose results shards had kept at that time (see `kept_of`).
    """

    attempt: int
    decision: str
    reason: str
    run: str
    progress: str
    kept: Mapping[str, int] = field(default_factory=dict)

    @property
    def interrupted(self) -> bool:
        """Whether the attempt was interrupted, which does not count as a failure."""
        return self.decision in INTERRUPTIONS


def ending_of(item: WorkItem, state: RunState) -> Ending:
    """Return how the last attempt ended, whose run is over.

    The error that the work left at the end of its claim takes precedence over the runner's knowledge. If the runner
    knows only that the run ended without success, a claim that was not given back shows that the work was killed:
    a stage gives its claim back with its error, whatever the error is.

    Args:
        item: the work item, with at least one open commit.
        state: state of a run of its last attempt.
    """
    decision, reason = _verdict(item, state)
    return Ending(item.attempt, decision, reason, state.run, progress_of(item), kept_of(item))


def _verdict(item: WorkItem, state: RunState) -> tuple[str, str]:
    commit, claim = _last_claim(item, state.run)
    if state.phase is Phase.TERMINATED:
        return "terminated", state.error
    if state.phase is Phase.SUCCEEDED:
        return "unfilled", f"it succeeded but left {item.anchor} open"
    if claim is not None and claim.reported:
        known = claim.reported.partition(": ")[2] in state.error
        return "failed", f"{commit}: {claim.reported}" + ("" if known else f" ({state.error})")
    if state.phase is not Phase.FAILED:
        return state.phase.value, state.error
    if claim is not None and claim.stopped:
        return Phase.INTERRUPTED.value, f"{commit}: {claim.stopped} ({state.error})"
    if claim is not None and not state.certain:
        return Phase.INTERRUPTED.value, f"{commit}: it was killed, since it reported no error ({state.error})"
    return "failed", state.error


def ending_out_of_sight(item: WorkItem, silence: float | None) -> Ending:
    """Return how the last attempt ended, whose run cannot be found.

    Args:
        item: the work item.
        silence: seconds without a heartbeat, for an attempt at another location; None if the run should be found
            here, and therefore was deleted.
    """
    start = next((d for d in item.decisions if d.decision == CONFIRMED and d.attempt == item.attempt), None)
    run = start.run if start is not None else ""
    commit, claim = _last_claim(item, run)
    if claim is not None and claim.reported:
        decision, reason = "failed", f"{commit}: {claim.reported}"
    elif silence is None:
        decision, reason = Phase.VANISHED.value, f"run {run} was not found; it was deleted"
    else:
        decision = Phase.INTERRUPTED.value
        whose = f"run {run}" if run else "its run"
        reason = f"no heartbeat for {silence:.0f} s from {whose}, which {started_elsewhere(item)}"
        # The run may be alive and still claim its commit: record no end of that run.
        run = ""
    return Ending(item.attempt, decision, reason, run, progress_of(item), kept_of(item))


def started_elsewhere(item: WorkItem) -> str:
    """Return who started the last attempt and where, as the end of a sentence."""
    return f"{item.announced_by or 'another trigger'} started in {item.announced_where or 'another location'}"


def _last_claim(item: WorkItem, run: str) -> tuple[Commit | None, Claim | None]:
    """Return the last claim of a run on the open commits of a work item, with its commit."""
    for commit in (entry.commit for entry in reversed(item.commits) if entry.commit.state == "open"):
        claims = [claim for claim in claims_of(commit.metadata) if claim.holder == run]
        if claims:
            return commit, claims[-1]
    return None, None


def progress_of(item: WorkItem) -> str:
    """Return the progress of a work item: its open commits, each with the most work that any attempt at it has done.

    Lost work that is repeated does not change the value, so two equal values mean that nothing was gained.
    """
    most = ((c.repo, max((claim.done for claim in claims_of(c.metadata)), default=0)) for c in _open_commits(item))
    return ",".join(f"{repo}:{done}" for repo, done in most)


def kept_of(item: WorkItem) -> dict[str, int]:
    """Return repo -> the most datums whose results the shards of one attempt had kept; repos with none are absent."""
    most = ((c.repo, max((claim.kept for claim in claims_of(c.metadata)), default=0)) for c in _open_commits(item))
    return {repo: kept for repo, kept in most if kept}


def _open_commits(item: WorkItem) -> tuple[Commit, ...]:
    return tuple(entry.commit for entry in item.commits if entry.commit.state == "open")


def endings_of(item: WorkItem, latest: Ending | None) -> tuple[Ending, ...]:
    """Return the endings of all attempts that count, oldest first: the recorded ones, and one that is not recorded yet.

    Attempts before a person's `retry` do not count.
    """
    recorded = {d.attempt: _recorded(d) for d in item.decisions if d.decision in ENDINGS}
    if latest is not None:
        recorded.setdefault(latest.attempt, latest)
    return tuple(recorded[attempt] for attempt in sorted(recorded) if attempt > item.forgiven)


def _recorded(decision: Decision) -> Ending:
    return Ending(decision.attempt, decision.decision, decision.reason, decision.run, decision.progress, decision.kept)


@dataclass(frozen=True)
class Failures:
    """Numbers of attempts that failed by their own error.

    Attributes:
        without_progress: those that kept no more results of shards than an attempt before.
        partial: those whose other shards kept results that no attempt before had.
    """

    without_progress: int
    partial: int


def failures(endings: Iterable[Ending]) -> Failures:
    """Count the failed attempts.

    Args:
        endings: of the attempts, oldest first.
    """
    without_progress = partial = 0
    most: dict[str, int] = {}
    for ending in endings:
        forward = any(kept > most.get(repo, 0) for repo, kept in ending.kept.items())
        if not ending.interrupted:
            without_progress, partial = without_progress + (not forward), partial + forward
        most.update((repo, max(kept, most.get(repo, 0))) for repo, kept in ending.kept.items())
    return Failures(without_progress, partial)


def interruptions_in_a_row(endings: Iterable[Ending]) -> int:
    """Return the number of interrupted attempts since the last one that failed or made progress."""
    row, before = 0, None
    for ending in endings:
        forward = before is not None and ending.progress != before
        row = row + 1 if ending.interrupted and not forward else 0
        before = ending.progress
    return row


def exhausted_budget(endings: Sequence[Ending], policy: Policy) -> tuple[str, Ending] | None:
    """Return which budget of a policy is exhausted, for people, and the last ending that it counts; None if none is.

    Args:
        endings: of the attempts, oldest first.
        policy: the budgets.
    """
    failed, interrupted = failures(endings), interruptions_in_a_row(endings)
    if failed.without_progress >= policy.attempts:
        times = f"{failed.without_progress} time{'s' if failed.without_progress > 1 else ''}"
        what = f"failed {times}" + (" without progress of its shards" if failed.partial else "")
    elif failed.partial >= policy.partial_failures:
        what = f"failed {failed.partial} times in some of its shards (the limit, `partial_failures`)"
    elif interrupted >= policy.interruptions:
        what = f"was interrupted {interrupted} times in a row without progress (the limit, `interruptions`)"
        return what, endings[-1]
    else:
        return None
    return what, next(ending for ending in reversed(endings) if not ending.interrupted)
