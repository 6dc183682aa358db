"""Retrying a commit set: itself while something in it is open, else a fresh one for the newest inputs.

A finished commit never changes, so a commit that ended with an error is not repaired but followed by a new one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import MODEL, PIPELINES, PROVENANCE, Pipeline
from pachyderm.errors import RequestError
from pachyderm.queue.commit_sets import commits_of, own_parameters, own_parameters_key
from pachyderm.queue.decisions import Decision, decisions_of, record, stamp

RETRY = "retry"
"""The decision after which the failed attempts of an open commit set no longer count."""

RETRIED = "retried"
"""The decision on a finished commit that names the fresh commit set which runs it again."""


@dataclass(frozen=True)
class Retried:
    """The commit set that a retry leads to.

    Attributes:
        commit_set: the commit set that will be run.
        fresh: whether it was opened by the retry.
        pipelines: names of the pipelines that fill it.
    """

    commit_set: str
    fresh: bool
    pipelines: tuple[str, ...]


def retry(client: Connection, commit_set: str, by: str, now: float) -> Retried:
    """Run a commit set again.

    While something in it is open, it is tried again at once, and its failed attempts no longer count. Else fresh output
    commits are opened for the newest inputs, with the commit set's own hyperparameters if it had any.

    Args:
        client: the connection.
        commit_set: its id.
        by: who asks.
        now: seconds since 1970.

    Raises:
        RequestError: commit set not found, without output commits of this DAG, or covered by a newer one.
    """
    members = (commit for commit in commits_of(client, commit_set) if commit.id == commit_set)
    # A commit without provenance is not an output: the first commit of `model@master` has none.
    own = {commit.repo: commit for commit in members if commit.provenance}
    parts = [(pipeline, _outputs(pipeline, own)) for pipeline in PIPELINES]
    parts = [(pipeline, commits) for pipeline, commits in parts if commits]
    if not parts:
        raise RequestError(
            f"the commit set {commit_set} has no output commit that a run could fill; see: pix2pix log REPO"
        )
    still_open = [
        (pipeline, commits) for pipeline, commits in parts if any(commit.state == "open" for commit in commits)
    ]
    for _, commits in still_open:
        last = [commit for commit in commits if commit.state == "open"][-1]
        attempts = max(
            (decision.attempt for commit in commits for decision in decisions_of(commit.metadata)), default=0
        )
        record(client, last, f"{attempts}.retry", Decision(stamp(now), RETRY, "a person asked", "", attempts, by))
    if still_open:
        return Retried(commit_set, False, tuple(pipeline.name for pipeline, _ in still_open))
    bad = [
        (pipeline, commits) for pipeline, commits in parts if any(commit.state != "good" for commit in commits)
    ] or parts
    for pipeline, _ in bad:
        _refuse_covered(client, pipeline, commit_set)
    return Retried(open_again(client, bad, by, now), True, tuple(pipeline.name for pipeline, _ in bad))


def _outputs(pipeline: Pipeline, own: dict[str, Commit]) -> list[Commit]:
    """Return the commit set's own output commits of a pipeline, upstream first."""
    return [own[branch.repo] for branch in pipeline.outputs if branch.repo in own]


def _refuse_covered(client: Connection, pipeline: Pipeline, commit_set: str) -> None:
    newest, first = head(client, pipeline.outputs[-1]), head(client, pipeline.outputs[0])
    if newest.id != commit_set and not (first.id == commit_set and first.error):
        source = pipeline.source
        raise RequestError(
            f"the commit set {commit_set} is covered by the newer {newest}; `pix2pix retry {newest.id}` runs that one"
            f" again, and `pix2pix revert {source.repo} COMMIT` goes back to an earlier commit of {source}"
        )


def open_again(client: Connection, parts: Sequence[tuple[Pipeline, Sequence[Commit]]], by: str, now: float) -> str:
    """Open fresh output commits for the newest inputs, with the hyperparameters that belonged to the earlier ones.

    The heads that lead to them are moved onto themselves, by name, in one transaction. Each pipeline's last earlier
    output commit gets a decision that names the fresh commit set.

    Args:
        client: the connection.
        parts: pipelines, each with the output commits that are to be made again.
        by: who asks.
        now: seconds since 1970.

    Returns:
        the id of the fresh commit set.

    Raises:
        RequestError: a head moved meanwhile, so the commit set runs without the hyperparameters.
    """
    moved: list[tuple[BranchName, dict[str, object], str]] = []
    for pipeline, commits in parts:
        # A commit that a promotion opened has none upstream in its commit set, and is opened again by the model,
        # unless the commit that it would be made from ended with an error.
        by_model = MODEL in PROVENANCE[pipeline.outputs[-1]]
        upstream = pipeline.outputs[0]
        whole = (
            not by_model
            or any(commit.repo == upstream.repo for commit in commits)
            or bool(head(client, upstream).error)
        )
        branch = pipeline.source if whole else MODEL
        given = own_parameters(client, commits[-1]) if whole else {}
        moved.append((branch, given, head(client, branch).id if given else ""))
    with client.transaction.transaction() as transaction:
        set_id = str(transaction.id)
        for branch, given, newest in moved:
            if given:
                client.edit_keys(branch.repo, newest, add={own_parameters_key(set_id): json.dumps(given)})
            client.pfs.create_branch(branch=client.branch(branch), head=client.head(branch))
    # After the transaction: pachd keeps the metadata edits of an abandoned one (seen on pachd 2.12), and this decision
    # would then name a commit set that never existed.
    for _, commits in parts:
        reason = f"the fresh commit set {set_id} runs it again"
        record(client, commits[-1], f"{set_id}.retried", Decision(stamp(now), RETRIED, reason, by=by))
    for branch, given, newest in moved:
        if given and inspect(client, branch.repo, set_id).id != newest:
            raise RequestError(
                f"{branch} moved while the commit set {set_id} was opened, so it runs without hyperparameters"
            )
    return set_id
