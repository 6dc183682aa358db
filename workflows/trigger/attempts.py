"""Judges how the attempts at a work item ended: failures count, interruptions have a budget of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pachyderm.client.commits import Commit
from pachyderm.queue.claims import Claim, claims_of
from pachyderm.queue.decisions import CONFIRMED, Decision
from workflows.runners.runner import Phase, RunState
from workflows.trigger.work_items import ENDINGS, WorkItem

INTERRUPTIONS = frozenset({Phase.INTERRUPTED.value, Phase.VANISHED.value})
"""Ends of attempts whose work reported no error of its own: killed, evicted, node lost, gone with their trigger."""


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    Attributes:
        attempt: its number.
        decision: one of `ENDINGS`.
        reason: why, for a person.
        run: id of its run, or empty.
        progress: how far the commit set had come (see `progress_of`).
    """

    attempt: int
    decision: str
    reason: str
    run: str
    progress: str

    @property
    def interrupted(self) -> bool:
        """Whether the attempt was interrupted, and so does not count as a failure."""
        return self.decision in INTERRUPTIONS


def ending_of(item: WorkItem, state: RunState) -> Ending:
    """How the attempt of a run that is over ended.

    What the work itself left at the end of its claim comes first; then what the runner knows. Where the runner knows
    only that the run ended without success, a claim that nobody gave back shows that the work was killed: a stage
    gives its claim back with its error, whatever the error is.

    Args:
        item: the work item, at least one commit of it open.
        state: of a run of its last attempt.
    """
    decision, reason = _verdict(item, state)
    return Ending(item.attempt, decision, reason, state.run, progress_of(item))


def _verdict(item: WorkItem, state: RunState) -> tuple[str, str]:
    commit, claim = _last_claim(item, state.run)
    if state.phase is Phase.TERMINATED:
        return "terminated", state.error
    if state.phase is Phase.SUCCEEDED:
        return "unfilled", f"it succeeded and left {item.anchor} open"
    if claim is not None and claim.reported:
        known = claim.reported.partition(": ")[2] in state.error
        return "failed", f"{commit}: {claim.reported}" + ("" if known else f" ({state.error})")
    if state.phase is not Phase.FAILED:
        return state.phase.value, state.error
    if claim is not None and claim.stopped:
        return Phase.INTERRUPTED.value, f"{commit}: {claim.stopped} ({state.error})"
    if claim is not None and not state.certain:
        return Phase.INTERRUPTED.value, f"{commit}: it was killed, for it reported no error ({state.error})"
    return "failed", state.error


def ending_out_of_sight(item: WorkItem, silence: float | None) -> Ending:
    """How the last attempt ended, whose run cannot be found.

    Args:
        item: the work item.
        silence: seconds without a sign of life, for an attempt of another place; None where the run should be found
            here, and so was deleted.
    """
    start = next((d for d in item.decisions if d.decision == CONFIRMED and d.attempt == item.attempt), None)
    run = start.run if start is not None else ""
    commit, claim = _last_claim(item, run)
    if claim is not None and claim.reported:
        decision, reason = "failed", f"{commit}: {claim.reported}"
    elif silence is None:
        decision, reason = Phase.VANISHED.value, f"run {run} is gone"
    else:
        decision = Phase.INTERRUPTED.value
        whose = f"run {run}" if run else "its run"
        reason = f"no sign of life for {silence:.0f} s from {whose}, which {started_elsewhere(item)}"
        # It may live and claim its commit yet, so nothing is recorded as the end of that run.
        run = ""
    return Ending(item.attempt, decision, reason, run, progress_of(item))


def started_elsewhere(item: WorkItem) -> str:
    """Who started the last attempt and where: the end of a sentence."""
    return f"{item.announced_by or 'another trigger'} started in {item.announced_where or 'another place'}"


def _last_claim(item: WorkItem, run: str) -> tuple[Commit | None, Claim | None]:
    """The last claim of a run on the open commits of a work item."""
    for commit in (entry.commit for entry in reversed(item.commits) if entry.commit.state == "open"):
        claims = [claim for claim in claims_of(commit.metadata) if claim.holder == run]
        if claims:
            return commit, claims[-1]
    return None, None


def progress_of(item: WorkItem) -> str:
    """How far a work item has come: its open commits, each with the most work that any attempt at it has done.

    Work that is lost and done again does not change it, so that two equal values mean that nothing was gained.
    """
    commits = (entry.commit for entry in item.commits if entry.commit.state == "open")
    most = ((c.repo, max((claim.done for claim in claims_of(c.metadata)), default=0)) for c in commits)
    return ",".join(f"{repo}:{done}" for repo, done in most)


def endings_of(item: WorkItem, latest: Ending | None) -> tuple[Ending, ...]:
    """The ends of all attempts that count, oldest first: those that are recorded, and one that is not yet.

    Attempts that a person's `retry` set aside are left out.
    """
    recorded = {d.attempt: _recorded(d) for d in item.decisions if d.decision in ENDINGS}
    if latest is not None:
        recorded.setdefault(latest.attempt, latest)
    return tuple(recorded[attempt] for attempt in sorted(recorded) if attempt > item.forgiven)


def _recorded(decision: Decision) -> Ending:
    return Ending(decision.attempt, decision.decision, decision.reason, decision.run, decision.progress)


def failures(endings: Iterable[Ending]) -> int:
    """Attempts that failed by an error of their own."""
    return sum(not ending.interrupted for ending in endings)


def interruptions_in_a_row(endings: Iterable[Ending]) -> int:
    """Interrupted attempts since the last one that failed or that brought the commit set forward."""
    row, before = 0, None
    for ending in endings:
        forward = before is not None and ending.progress != before
        row = row + 1 if ending.interrupted and not forward else 0
        before = ending.progress
    return row
