"""Reverts an input branch to an earlier commit.

Only the branch head moves: no commit is deleted, and results of the earlier commit are found by their fingerprints and
copied instead of computed again.
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
        commit_set: id of the commit set that the move opened, or None if the head was already there.
    """

    before: str
    after: str
    commit_set: str | None


def revert(client: Connection, commit: Commit) -> Reverted:
    """Move the input branch of a commit's repo back to that commit.

    Raises:
        RequestError: the repo is not an input, the commit is open or has failed, or the branch's head is open.
    """
    branch = next((branch for branch in INPUTS if branch.repo == commit.repo), None)
    if branch is None:
        inputs = " and ".join(branch.repo for branch in INPUTS)
        raise RequestError(
            f"{commit.repo} is filled by a pipeline; only {inputs} can be reverted (for models: pix2pix rollback)"
        )
    if commit.state != "good":
        raise RequestError(
            f"cannot revert to {commit}: it is {commit.state}; `pix2pix log {commit.repo}` lists good commits"
        )
    before = head(client, branch)
    if before.id == commit.id:
        return Reverted(before.id, commit.id, None)
    # The output commits of an open head would wait for it forever: once no branch leads to it, no `put` finishes it.
    refuse_open(before, "revert again")
    with client.transaction.transaction() as transaction:
        client.pfs.create_branch(branch=client.branch(branch), head=client.commit(commit.repo, commit.id))
    return Reverted(before.id, commit.id, str(transaction.id))
