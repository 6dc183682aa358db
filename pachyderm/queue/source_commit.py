"""Finds the input commit that an output commit goes back to."""

from __future__ import annotations

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import DATUMS, INPUTS
from pachyderm.errors import RequestError

_INPUT_REPOS = frozenset(branch.repo for branch in INPUTS)


def source_of(client: Connection, commit: Commit) -> Commit:
    """Follow the data, not the model, from an output commit to the commit of an input repo.

    The DAG decides which way leads back. The server lists direct provenance in no particular order, and a commit of
    `generate_images` goes back to `training` as well, through the model.

    Args:
        client: the connection.
        commit: a commit of a repo of the DAG; an input commit is its own source.

    Raises:
        RequestError: a commit on the way was dropped, or is not made from what the DAG says.
    """
    source = data_source(client, commit)
    if source is None:
        raise RequestError(
            f"{commit} does not go back to an input repo along the data: it was not made by this project's DAG"
        )
    return source


def data_source(client: Connection, commit: Commit) -> Commit | None:
    """Return `source_of` a commit, or None where the commit is not made from what the DAG says.

    Raises:
        RequestError: a commit on the way was dropped.
    """
    while commit.repo not in _INPUT_REPOS:
        upstream = next((entry for entry in commit.provenance if entry.repo == DATUMS.get(commit.repo)), None)
        if upstream is None:
            return None
        commit = inspect(client, upstream.repo, upstream.id)
    return commit
