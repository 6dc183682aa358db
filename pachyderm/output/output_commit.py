"""Filling a stage's output commits: that of a commit set, or all that are open."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import pipeline_of
from pachyderm.errors import RequestError
from pachyderm.output.attempt import Attempt
from pachyderm.output.stage import FanOut, Stage
from pachyderm.output.worker import Worker
from pachyderm.queue.commit_sets import NEW, commits_of, fresh_set, to_fill

logger = logging.getLogger(__name__)


def fill_set(
    client: Connection,
    stage: Stage,
    commit_set: str,
    hyperparameters: Mapping[str, object],
    worker: Worker,
    fan_out: FanOut | None = None,
) -> tuple[Commit, str]:
    """Fill a stage's output commit of a commit set.

    Args:
        client: the connection.
        stage: the stage whose branch is filled.
        commit_set: an id; ``new`` for a fresh commit set; empty for everything open on the branch, oldest first.
        hyperparameters: section -> name -> value, for a fresh commit set alone; empty for none.
        worker: who fills.
        fan_out: distributes the datums of the last commit over several tasks; None computes everything here.

    Returns:
        the commit that was filled last (or the newest), and the commit set to pass to the next task. The commit is
        still open if its work was handed out.

    Raises:
        CommitFailedError: the commit ended with an error.
        RequestError: commit set not found, or without a commit of this stage.
    """
    pipeline = pipeline_of(stage.output)
    if hyperparameters and commit_set not in ("", NEW):
        raise RequestError(
            f"the commit set {commit_set} exists, so it cannot be given its own hyperparameters;"
            f" leave the set out, or pass {NEW!r}"
        )
    if hyperparameters or commit_set == NEW:
        commit_set = fresh_set(client, stage.output, pipeline.source, hyperparameters, worker.run)
    if commit_set:
        commit = find_commit(client, stage.output, commit_set)
        if commit.id != commit_set:
            logger.info("the commit set %s has no new commit in %s; %s stands", commit_set, commit.repo, commit)
            return commit, commit_set
        return Attempt(client, stage, commit, worker, fan_out=fan_out).run(), commit_set
    filled = None
    commits = list(to_fill(client, stage.output, pipeline.policy, pipeline.source))
    for number, commit in enumerate(commits, start=1):
        # A commit can be worked on only once the older ones are finished.
        last = fan_out if number == len(commits) else None
        filled = Attempt(client, stage, commit, worker, fan_out=last).run()
    if filled is None:
        logger.info("nothing is open on %s; its newest commit stands", stage.output)
    return filled or head(client, stage.output), ""


def find_commit(client: Connection, branch: BranchName, commit_set: str) -> Commit:
    """Return the commit of a commit set in an output repo; if it has an alias there, the older commit it stands for.

    Callers must compare the id: an alias is never written to.

    Raises:
        RequestError: commit set not found, or without a commit in the repo.
    """
    members = commits_of(client, commit_set)
    found = [commit for commit in members if commit.repo == branch.repo]
    if not found:
        repos = ", ".join(sorted({commit.repo for commit in members}))
        raise RequestError(f"the commit set {commit_set} has no commit in {branch.repo}, only in {repos}")
    own = next((commit for commit in found if commit.id == commit_set), None)
    # Of several aliases in one repo (model@candidate and model@master), the server decides which one the id names.
    return own or inspect(client, branch.repo, commit_set)
