"""Commit sets: the one that a run is about, fresh ones, and the hyperparameters that belong to one alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

import grpc

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, inspect, of_set
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import SupersessionPolicy
from pachyderm.errors import RequestError
from pachyderm.queue.claims import live_claim
from pachyderm.queue.ends import finish_with
from pachyderm.queue.open_commits import OpenCommits
from pachyderm.queue.source_commit import source_of

logger = logging.getLogger(__name__)

NEW = "new"
"""Requests a fresh commit set for the newest inputs."""


def own_parameters_key(commit_set: str) -> str:
    """Return the metadata key, on the input commit, of the hyperparameters that belong to one commit set alone."""
    return f"hyperparameters.{commit_set}"


def _own_parameters_text(hyperparameters: Mapping[str, Any]) -> str:
    return json.dumps(hyperparameters, sort_keys=True) if hyperparameters else ""


def opened_by_key(commit_set: str) -> str:
    """Return the metadata key, on the input commit, of the run that opened a fresh commit set."""
    return f"opened.{commit_set}"


def fresh_set(
    client: Connection, branch: BranchName, source: BranchName, hyperparameters: Mapping[str, Any], run: str
) -> str:
    """Return the fresh commit set of a run: the one that an earlier attempt of the run opened, else a new one.

    A second fresh commit set would leave the first one open, and its commits would wait for those of the first.

    Args:
        client: the connection.
        branch: the output branch that the run fills first.
        source: the input branch.
        hyperparameters: section -> name -> value, for this commit set alone; empty for none.
        run: id of the run; empty if unknown, which always opens a new commit set.

    Raises:
        RequestError: as for `open_fresh`.
    """
    earlier = _opened_by(client, branch, source, hyperparameters, run) if run else None
    if earlier is not None:
        logger.info("the commit set %s was opened by an earlier attempt of this run", earlier)
        return earlier
    commit_set = open_fresh(client, source, hyperparameters, run)
    logger.info("opened the commit set %s for the newest %s", commit_set, source)
    return commit_set


def _opened_by(
    client: Connection, branch: BranchName, source: BranchName, hyperparameters: Mapping[str, Any], run: str
) -> str | None:
    """Return the commit set that a run opened with these hyperparameters, if it is open or of the newest input."""
    sources = {entry.source.id for entry in OpenCommits(client, (branch,)).scan() if entry.source is not None}
    prefix, text = opened_by_key(""), _own_parameters_text(hyperparameters)
    for commit in (head(client, source), *(inspect(client, source.repo, commit_id) for commit_id in sorted(sources))):
        for key, opener in commit.metadata.items():
            commit_set = key.removeprefix(prefix)
            given = commit.metadata.get(own_parameters_key(commit_set), "")
            if key != commit_set and opener == run and given == text and _exists(client, branch, commit_set):
                return commit_set
    return None


def _exists(client: Connection, branch: BranchName, commit_set: str) -> bool:
    """Whether a commit set has a commit on a branch; an abandoned transaction leaves the key of a set without any."""
    try:
        return inspect(client, branch.repo, commit_set).id == commit_set
    except RequestError:
        return False


def open_fresh(
    client: Connection, source: BranchName, hyperparameters: Mapping[str, Any] | None = None, run: str = ""
) -> str:
    """Open fresh output commits for the newest commit of an input branch, and return the id of their commit set.

    Args:
        client: the connection.
        source: the input branch.
        hyperparameters: section -> name -> value, for this commit set alone.
        run: id of the run that asks, recorded so that its next attempt finds the commit set; empty for none.

    Raises:
        RequestError: branch not found, or moved meanwhile to a commit without the hyperparameters.
    """
    newest = head(client, source)
    with client.transaction.transaction() as transaction:
        # The transaction's id becomes the commit set's: its hyperparameters are written before anyone sees the set.
        set_id = str(transaction.id)
        keys = {opened_by_key(set_id): run} if run else {}
        if hyperparameters:
            keys[own_parameters_key(set_id)] = _own_parameters_text(hyperparameters)
        if keys:
            client.edit_keys(source.repo, newest.id, add=keys)
        # By name, which is resolved when the transaction ends. A stale id would set the branch back (seen on pachd
        # 2.12).
        client.pfs.create_branch(branch=client.branch(source), head=client.head(source))
    if hyperparameters and inspect(client, source.repo, set_id).id != newest.id:
        raise RequestError(
            f"{source} moved while the commit set {set_id} was opened, so it runs without the hyperparameters;"
            " request them again"
        )
    return set_id


def to_fill(client: Connection, branch: BranchName, policy: SupersessionPolicy, source: BranchName) -> list[Commit]:
    """Return what a run without a commit set fills on a branch, oldest first; empty if the newest commit is good.

    Under ``latest``, open commit sets that a newer one covers are superseded, unless they are claimed or have their own
    hyperparameters. If nothing is open and the newest commit ended with an error, a fresh commit set is opened.
    """
    queue = OpenCommits(client, (branch,))
    waiting = queue.scan()
    if not waiting:
        newest = head(client, branch)
        if newest.error:
            set_id = open_fresh(client, source)
            logger.info("%s ended with an error; the fresh commit set is %s", newest, set_id)
            return [inspect(client, branch.repo, set_id)]
        return []
    if policy == "latest":
        newest_covering = max((number for number, entry in enumerate(waiting) if entry.covers_older), default=0)
        for entry in waiting[:newest_covering]:
            if live_claim(entry.commit.metadata) is None and not entry.pinned:
                finish_with(client, entry.commit, f"superseded: by {waiting[newest_covering].commit.id}")
        waiting = queue.scan()
    return [entry.commit for entry in waiting]


def own_parameters(client: Connection, commit: Commit) -> dict[str, Any]:
    """Return the hyperparameters that belong to the commit set of an output commit alone; empty for most sets.

    Raises:
        RequestError: they are not a JSON object.
    """
    return own_parameters_in(source_of(client, commit), commit.id)


def own_parameters_in(source: Commit, commit_set: str) -> dict[str, Any]:
    """Return the hyperparameters that an input commit's metadata holds for one commit set alone; empty for none.

    Raises:
        RequestError: they are not a JSON object.
    """
    key = own_parameters_key(commit_set)
    text = source.metadata.get(key)
    if not text:
        return {}
    try:
        hyperparameters = json.loads(text)
    except (ValueError, RecursionError):
        hyperparameters = None
    if not isinstance(hyperparameters, dict):
        raise RequestError(
            f"the metadata {key} of {source} is not a JSON object: {text[:80]!r}; delete the key:"
            f" pachctl edit metadata commit {source} delete '{key}', and request the hyperparameters again"
        )
    return hyperparameters


def commits_of(client: Connection, commit_set: str) -> list[Commit]:
    """Return the commits of a commit set and its aliases, upstream first.

    Raises:
        RequestError: commit set not found.
    """
    try:
        return list(of_set(client, commit_set))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            raise RequestError(f"commit set {commit_set} not found; `pix2pix log REPO` lists commits") from error
        raise
