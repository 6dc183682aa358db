"""What is open and what it waits for.

It exists so that a person, and the trigger's words, give the same reason for a commit that is not filled yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import pipeline_of
from pachyderm.queue.claims import live_claim
from pachyderm.queue.open_commits import OpenCommit, OpenCommits


@dataclass(frozen=True)
class Blocker:
    """An output commit that has not ended.

    Attributes:
        commit: it.
        pipeline: name of the one that fills it.
        reason: what it waits for, for a person.
    """

    commit: Commit
    pipeline: str
    reason: str


def waiting(client: Connection) -> list[Blocker]:
    """Every output commit that has not ended, stage by stage, oldest first."""
    older: dict[BranchName, Commit] = {}
    found = []
    for one in OpenCommits(client).look():
        reason = _reason(one, older.get(one.branch))
        found.append(Blocker(one.commit, pipeline_of(one.branch).name, reason))
        older[one.branch] = one.commit
    return found


def _reason(one: OpenCommit, older: Commit | None) -> str:
    claim = live_claim(one.commit.metadata)
    if one.commit.state == "finishing":
        return "Pachyderm, which checks it"
    if claim is not None:
        return f"the run {claim.holder}, which fills it"
    for source in one.inputs:
        if source.state in ("open", "finishing"):
            return f"its input {source}, which is {source.state}"
    if older is not None:
        return f"the older {older}, which is {older.state}"
    return "a run: pix2pix trigger, or pix2pix run"
