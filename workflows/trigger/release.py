"""Release of the claims of runs that ended together with their trigger.

Without it, their commits would be taken up again only after the claims have been silent for five minutes.
"""

from __future__ import annotations

from collections.abc import Collection

from pachyderm.client.connection import Connection
from pachyderm.queue.claims import give_back, live_claim
from pachyderm.queue.decisions import Decision, record, stamp
from pachyderm.queue.open_commits import OpenCommits
from workflows.runners.runner import RunState
from workflows.trigger.attempts import ending_of
from workflows.trigger.work_items import WorkItemId, work_items_of


def release_runs(client: Connection, runs: Collection[RunState], by: str, now: float) -> None:
    """Record the ends of runs with their commit sets, and give their claims back.

    Args:
        client: the connection.
        runs: runs that are over.
        by: identity of the trigger.
        now: seconds since 1970.
    """
    holders = {state.run: state for state in runs}
    states = {WorkItemId(s.key.commit_set, s.key.pipeline): s for s in runs if s.key is not None}
    commits = OpenCommits(client).scan()
    for entry in commits:
        claim = live_claim(entry.commit.metadata)
        if claim is not None and claim.holder in holders:
            give_back(client, entry.commit, claim.number, f"run {claim.holder} is over: {holders[claim.holder].phase}")
    for item in work_items_of(commits):
        state = states.get(item.id)
        if state is not None and state.key is not None:
            ending = ending_of(item, state)
            attempt, progress, kept = state.key.attempt, ending.progress, ending.kept
            decision = Decision(
                stamp(now), ending.decision, ending.reason, state.run, attempt, by, progress=progress, kept=kept
            )
            record(client, item.anchor, f"{state.key.attempt}.over", decision)
