"""The reason for starting an attempt, recorded in its decision and printed by `pix2pix why`."""

from __future__ import annotations

from collections.abc import Iterable

from pachyderm.queue.decisions import Decision
from workflows.trigger.actions import Action, Note
from workflows.trigger.work_items import ENDINGS, RETRY, WorkItem

LONGEST_CAUSE = 300
"""Characters of an attempt's error that the reason of the next attempt repeats."""


def attempt_reason(item: WorkItem, attempt: int, actions: Iterable[Action]) -> str:
    """Return why an attempt of a work item is started.

    Args:
        item: the work item.
        attempt: the attempt's number, from 1.
        actions: the other actions of the same plan; the end of the previous attempt may be recorded only there.
    """
    if attempt == 1:
        return f"open: {', '.join(str(entry.commit) for entry in item.commits)}"
    before = attempt - 1
    notes = [a for a in actions if isinstance(a, Note) and a.item == item.id and a.attempt == before]
    recorded = [d for d in item.decisions if d.decision in ENDINGS and d.attempt == before]
    asked = [d.by for d in item.decisions if d.decision == RETRY and d.attempt == before]
    causes = [_cause(end) for end in recorded] + [_cause(end) for end in notes]
    causes += [f"retry requested by {person}" for person in asked]
    return f"attempt {attempt}: " + (f"attempt {before} {'; '.join(causes)}" if causes else f"attempt {before} ended")


def _cause(end: Decision | Note) -> str:
    where = f"{end.decision} in run {end.run}" if end.run else end.decision
    return f"{where}: {end.reason[:LONGEST_CAUSE]}" if end.reason else where
