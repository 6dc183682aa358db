"""The input commit that an output commit goes back to, along the data."""

from __future__ import annotations

from collections.abc import MutableMapping

from pachyderm.client.commits import Commit, CommitId, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUTS, stage_of
from pachyderm.errors import RequestError

_INPUT_REPOS = frozenset(branch.repo for branch in INPUTS)


def source_of(client: Connection, commit: Commit, inspected: MutableMapping[CommitId, Commit] | None = None) -> Commit:
    """Follow the data, not the model, from an output commit to the commit of an input repo.

    Args:
        client: the connection.
        commit: a commit of a repo of the DAG; an input commit is its own source.
        inspected: commits that need no inspection; those on the way are added.

    Raises:
        RequestError: a commit on the way was dropped, or is not made from what the DAG prescribes.
    """
    source = data_source(client, commit, inspected)
    if source is None:
        raise RequestError(
            f"{commit} does not go back to an input repo along the data: it was not made by this project's DAG"
        )
    return source


def data_source(
    client: Connection, commit: Commit, inspected: MutableMapping[CommitId, Commit] | None = None
) -> Commit | None:
    """Return `source_of` a commit, or None if the commit is not made from what the DAG prescribes.

    Raises:
        RequestError: a commit on the way was dropped.
    """
    inspected = {} if inspected is None else inspected
    while commit.repo not in _INPUT_REPOS:
        upstream = _upstream(commit)
        if upstream is None:
            return None
        if upstream not in inspected:
            inspected[upstream] = inspect(client, upstream.repo, upstream.id)
        commit = inspected[upstream]
    return commit


def _upstream(commit: Commit) -> CommitId | None:
    """Return the commit whose files a commit's own files are made from.

    The DAG decides which one it is: servers list direct provenance in no particular order, and a commit of
    `generate_images` goes back to `training` too, through the model.
    """
    try:
        repo = stage_of(commit.repo).inputs[0].repo
    except KeyError:
        return None
    return next((entry for entry in commit.provenance if entry.repo == repo), None)
