"""Writes down that runs ended with their trigger, and gives their claims back.

It exists so that what was interrupted is taken up again at once, instead of after the five minutes for which a claim
without a sign of life is waited for.
"""

from __future__ import annotations

from collections.abc import Collection

from pachyderm.claims import give_back, live_claim
from pachyderm.connection import Connection
from pachyderm.decisions import Decision, record, stamp
from pachyderm.open_commits import OpenCommits
from workflows.runners.runner import RunState
from workflows.trigger.units import last_word, units_of
from workflows.trigger.world import UnitId


def release_runs(client: Connection, runs: Collection[RunState], by: str, now: float) -> None:
    """Note the ends of runs with their commit sets, and give back what they claimed.

    Args:
        client: the connection.
        runs: runs that are over.
        by: who does it.
        now: seconds since 1970.
    """
    holders = {state.run: state for state in runs}
    keys = {UnitId(s.key.commit_set, s.key.pipeline): s for s in runs if s.key is not None}
    commits = OpenCommits(client).look()
    for one in commits:
        claim = live_claim(one.commit.metadata)
        if claim is not None and claim.holder in holders:
            give_back(client, one.commit, claim.number, f"run {claim.holder} is over: {holders[claim.holder].phase}")
    for unit in units_of(commits, ()):
        state = keys.get(unit.id)
        if state is not None and state.key is not None:
            made = Decision(stamp(now), last_word(state.phase), state.error, state.run, state.key.attempt, by)
            record(client, unit.anchor, f"{state.key.attempt}.over", made)
