"""Coverage: which newer work item makes an older one of the same pipeline unnecessary."""

from __future__ import annotations

from collections.abc import Iterable

from workflows.trigger.work_items import WorkItem


def covering(older: WorkItem, newer: Iterable[WorkItem]) -> WorkItem | None:
    """Return the first of the newer work items that covers an older one, or None.

    A work item covers another one if it has an output commit on every branch of the other one: a promotion
    opens a commit of `generate_images` alone, and does not prepare the pictures of an older commit set.

    Args:
        older: a work item.
        newer: work items of the same pipeline, in the order of preference.
    """
    return next((item for item in newer if _covers(item, older)), None)


def _covers(newer: WorkItem, older: WorkItem) -> bool:
    return newer.branches >= older.branches and all(commit.covers_older for commit in newer.commits)
