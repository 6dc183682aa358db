"""Ends open output commits that will not be filled: failed, superseded or cancelled.

It exists so that the word which says how a commit ended, and its way downstream, are decided in one place.
"""

from __future__ import annotations

import grpc

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection


def finish_with(client: Connection, commit: Commit, error: str) -> bool:
    """Finish an open commit with an error, and what is open downstream in the same set alike.

    An errored commit needs no order: pachd neither compacts nor validates it.

    Args:
        client: the connection.
        commit: an output commit.
        error: ``failed: ...``, ``superseded: by <set>`` or ``cancelled: ...``; downstream inherits its first word.

    Returns:
        False where somebody else had finished the commit already.
    """
    ended = _finish(client, commit, error)
    if ended:
        word, _, reason = error.partition(":")
        for later in _open_downstream(client, commit):
            inherited = error if word == "superseded" else f"{word}: {commit}:{reason}"
            finish_with(client, later, inherited)
    return ended


def _finish(client: Connection, commit: Commit, error: str) -> bool:
    now = inspect(client, commit.repo, commit.id)
    if now.id != commit.id or now.state != "open":
        return False
    try:
        client.pfs.finish_commit(commit=client.commit(commit.repo, commit.id), error=error)
    except grpc.RpcError as refusal:
        if "already finished" in (refusal.details() or "") or "has already" in (refusal.details() or ""):
            return False
        raise
    return True


def _open_downstream(client: Connection, commit: Commit) -> list[Commit]:
    """The open commits of the same set that are made from `commit` directly."""
    subvenance = inspect(client, commit.repo, commit.id).subvenance
    later = [inspect(client, below.repo, below.id) for below in subvenance if below.id == commit.id]
    return [one for one in later if one.state == "open"]
