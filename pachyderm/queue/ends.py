"""Ending open output commits that will not be filled: failed, superseded or cancelled."""

from __future__ import annotations

import grpc

from pachyderm.client.commits import Commit, CommitId, downstream, inspect
from pachyderm.client.connection import Connection


def finish_with(client: Connection, commit: Commit | CommitId, error: str) -> bool:
    """Finish an open commit with an error, and everything open downstream in the same commit set likewise.

    Errored commits may be finished in any order: pachd neither compacts nor validates them.

    Args:
        client: the connection.
        commit: an output commit.
        error: ``failed: ...``, ``superseded: by <set>`` or ``cancelled: ...``; see `inherited` for those downstream.

    Returns:
        False if the commit had already been finished.
    """
    latest = inspect(client, commit.repo, commit.id)
    if latest.id != commit.id or latest.state != "open":
        return False
    # All commits of a set are opened in one transaction, so none is added downstream.
    made_from_it = downstream(client, commit)
    try:
        client.pfs.finish_commit(commit=client.commit(commit.repo, commit.id), error=error)
    except grpc.RpcError as refusal:
        details = refusal.details() or ""
        if "already finished" in details or "has already" in details:
            return False
        raise
    for made in made_from_it:
        finish_with(client, made, inherited(commit, error))
    return True


def inherited(commit: Commit | CommitId, error: str) -> str:
    """Return the error of a commit that is made from `commit`, which ended with `error`: the same end, naming it."""
    word, _, reason = error.partition(":")
    if word == "superseded":
        return error
    end = word if word == "cancelled" else "failed"
    return f"{end}: {commit}:{reason or ' ' + error}"
