"""Which commit set a run is about: a named one, all that is open, or a fresh one.

It exists so that a run is a function of its commit set, and no run overwrites a record.
"""

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
"""Asks for a fresh commit set for the newest inputs."""


def own_parameters_key(commit_set: str) -> str:
    """Metadata key, on the input commit, of the parameters that belong to one set alone."""
    return f"hyperparameters.{commit_set}"


def _own_parameters_text(hyperparameters: Mapping[str, Any]) -> str:
    return json.dumps(hyperparameters, sort_keys=True) if hyperparameters else ""


def opened_by_key(commit_set: str) -> str:
    """Metadata key, on the input commit, of the run that opened a fresh commit set."""
    return f"opened.{commit_set}"


def fresh_set(
    client: Connection, branch: BranchName, source: BranchName, hyperparameters: Mapping[str, Any], run: str
) -> str:
    """The fresh commit set of a run: the one that an earlier attempt of the run opened, else a new one.

    A second set would leave the first one open, and its commits would wait for those of the first.

    Args:
        client: the connection.
        branch: the output branch that the run fills first.
        source: the input branch.
        hyperparameters: section -> name -> value, for this set alone; empty for none.
        run: id of the run; empty means unknown, and a new set is opened.

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
    """The commit set that a run opened with these hyperparameters: still open on the branch, or of the newest input."""
    sources = {entry.source.id for entry in OpenCommits(client, (branch,)).look() if entry.source is not None}
    prefix, text = opened_by_key(""), _own_parameters_text(hyperparameters)
    for commit in (head(client, source), *(inspect(client, source.repo, commit_id) for commit_id in sorted(sources))):
        for key, opener in commit.metadata.items():
            commit_set = key.removeprefix(prefix)
            asked = commit.metadata.get(own_parameters_key(commit_set), "")
            if key != commit_set and opener == run and asked == text and _exists(client, branch, commit_set):
                return commit_set
    return None


def _exists(client: Connection, branch: BranchName, commit_set: str) -> bool:
    """Whether a commit set reaches a branch; the key of an abandoned transaction names a set that was never made."""
    try:
        return inspect(client, branch.repo, commit_set).id == commit_set
    except RequestError:
        return False


def open_fresh(
    client: Connection, source: BranchName, hyperparameters: Mapping[str, Any] | None = None, run: str = ""
) -> str:
    """Open fresh output commits for the newest commit of an input branch, and return the set's id.

    The head is moved onto itself by name, resolved when the transaction ends; by a stale id it would be set back
    (seen on pachd). The transaction's id is the set's, so the hyperparameters are there before anybody sees the set.

    Args:
        client: the connection.
        source: the input branch.
        hyperparameters: section -> name -> value, for this set alone.
        run: id of the run that asks, noted so that its next attempt finds the set; empty for none.

    Raises:
        RequestError: the branch is not there, or moved just now to a commit that the hyperparameters are not on.
    """
    newest = head(client, source)
    with client.transaction.transaction() as transaction:
        set_id = str(transaction.id)
        keys = {opened_by_key(set_id): run} if run else {}
        if hyperparameters:
            keys[own_parameters_key(set_id)] = _own_parameters_text(hyperparameters)
        if keys:
            client.edit_keys(source.repo, newest.id, add=keys)
        client.pfs.create_branch(branch=client.branch(source), head=client.head(source))
    if hyperparameters and inspect(client, source.repo, set_id).id != newest.id:
        raise RequestError(
            f"{source} moved while the set {set_id} was opened, so it runs without the hyperparameters;"
            " ask for them again"
        )
    return set_id


def to_fill(client: Connection, branch: BranchName, policy: SupersessionPolicy, source: BranchName) -> list[Commit]:
    """What a run without a commit set fills on a branch, oldest first.

    Under ``latest`` the open sets that a newer one covers end as superseded, unless they have a claim or
    hyperparameters of their own. Where the newest ended with an error, a fresh set is opened. Empty where the newest
    is good.
    """
    look = OpenCommits(client, (branch,)).look
    waiting = look()
    if not waiting:
        newest = head(client, branch)
        if newest.error:
            set_id = open_fresh(client, source)
            logger.info("%s ended with an error; the fresh set is %s", newest, set_id)
            return [inspect(client, branch.repo, set_id)]
        return []
    if policy == "latest":
        newest_covering = max((number for number, entry in enumerate(waiting) if entry.covers_older), default=0)
        for entry in waiting[:newest_covering]:
            if live_claim(entry.commit.metadata) is None and not entry.pinned:
                finish_with(client, entry.commit, f"superseded: by {waiting[newest_covering].commit.id}")
        waiting = look()
    return [one.commit for one in waiting]


def own_parameters(client: Connection, commit: Commit) -> dict[str, Any]:
    """The parameters that belong to the set of an output commit alone; empty for most sets.

    Raises:
        RequestError: they are no JSON object.
    """
    source, key = source_of(client, commit), own_parameters_key(commit.id)
    text = source.metadata.get(key)
    if not text:
        return {}
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise RequestError(
            f"the metadata {key} of {source} is no JSON object: {text[:80]!r}; delete the key:"
            f" pachctl edit metadata commit {source} delete '{key}', and ask for the hyperparameters again"
        )
    return told


def commits_of(client: Connection, commit_set: str) -> list[Commit]:
    """The commits of a set and its aliases, upstream first.

    Raises:
        RequestError: there is no such set.
    """
    try:
        return list(of_set(client, commit_set))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            raise RequestError(f"there is no commit set {commit_set} here; `pix2pix log REPO` lists commits") from error
        raise
