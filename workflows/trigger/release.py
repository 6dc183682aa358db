"""Writes down that runs ended with their trigger, and gives their claims back.

It exists so that what was interrupted is taken up again at once, instead of after the five minutes for which a claim
without a sign of life is waited for.
"""

from __future__ import annotations

from collections.abc import Collection

from pachyderm.client.connection import Connection
from pachyderm.queue.claims import give_back, live_claim
from pachyderm.queue.decisions import Decision, record, stamp
from pachyderm.queue.open_commits import OpenCommits
from workflows.runners.runner import RunState
from workflows.trigger.attempts import ending_of
from workflows.trigger.snapshot import WorkItemId
from workflows.trigger.work_items import work_items_of


def release_runs(client: Connection, runs: Collection[RunState], by: str, now: float) -> None:
    """Note the ends of runs with their commit sets, and give back what they claimed.

    Args:
        client: the connection.
        runs: runs that are over.
        by: who does it.
        now: seconds since 1970.
    """
    holders = {state.run: state for state in runs}
    keys = {WorkItemId(s.key.commit_set, s.key.pipeline): s for s in runs if s.key is not None}
    commits = OpenCommits(client).scan()
    for one in commits:
        claim = live_claim(one.commit.metadata)
        if claim is not None and claim.holder in holders:
            give_back(client, one.commit, claim.number, f"run {claim.holder} is over: {holders[claim.holder].phase}")
    for item in work_items_of(commits, ()):
        state = keys.get(item.id)
        if state is not None and state.key is not None:
            ending = ending_of(item, state)
            made = Decision(
                stamp(now), ending.decision, ending.reason, state.run, state.key.attempt, by, progress=ending.progress
            )
            record(client, item.anchor, f"{state.key.attempt}.over", made)
