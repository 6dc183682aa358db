"""Moves an input branch back to an earlier commit.

It exists because that is the way back that keeps the history: nothing is deleted, and what was made from the earlier
commit before is found by its fingerprint and copied, not computed.
"""

from __future__ import annotations

from dataclasses import dataclass

from pachyderm.client.commits import Commit, head, refuse_open
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUTS
from pachyderm.errors import RequestError


@dataclass(frozen=True)
class Reverted:
    """A move of an input branch.

    Attributes:
        before: id of the head before.
        after: id of the head after.
        commit_set: the set that the move opened, or None where the head was there already.
    """

    before: str
    after: str
    commit_set: str | None


def revert(client: Connection, commit: Commit) -> Reverted:
    """Move the input branch of a commit's repo to it.

    Raises:
        RequestError: the repo is no input, the commit is open or failed, or the branch's head is open: what was opened
            for it would wait for it for ever, for no `put` finds it any more.
    """
    branch = next((one for one in INPUTS if one.repo == commit.repo), None)
    if branch is None:
        inputs = " and ".join(one.repo for one in INPUTS)
        raise RequestError(f"{commit.repo} is filled by a pipeline; only {inputs} are reverted (for models: rollback)")
    if commit.state != "good":
        raise RequestError(f"{commit} cannot be gone back to: it is {commit.state}; pix2pix log {commit.repo}")
    before = head(client, branch)
    if before.id == commit.id:
        return Reverted(before.id, commit.id, None)
    refuse_open(before, "revert again")
    with client.transaction.transaction() as transaction:
        client.pfs.create_branch(branch=client.branch(branch), head=client.commit(commit.repo, commit.id))
    return Reverted(before.id, commit.id, str(transaction.id))
