"""Branches of the repo of unfinished work that hold the plan and the results of shards.

Each writer has a branch of its own, and writes it in one request: the server makes the commit once all of it has
arrived. So nothing half written is ever seen, and a writer that dies leaves nothing open.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.change_stream import ChangeRequest, additions, deletion, modify_files, to_head
from pachyderm.client.commits import Commit, head, history, inspect
from pachyderm.client.connection import Connection
from pachyderm.errors import RequestError, StorageError
from pachyderm.output.work_in_progress import UNFINISHED, create_repo

logger = logging.getLogger(__name__)

FORGOTTEN_AFTER = 7 * 24 * 3600.0
"""Seconds after which the branches of commits that were never finished are deleted."""


def branch(name: str) -> BranchName:
    """Return a branch of the repo of unfinished work."""
    return BranchName(UNFINISHED.repo, name)


def names(client: Connection, prefix: str) -> list[str]:
    """Return the names of the branches that begin with a prefix, sorted; none without the repo."""
    try:
        infos = list(client.pfs.list_branch(repo=client.repo(UNFINISHED.repo)))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            return []
        raise
    return sorted(info.branch.name for info in infos if info.branch.name.startswith(prefix))


def newest(client: Connection, name: str) -> Commit | None:
    """Return the finished head of a branch; None without one."""
    try:
        found = head(client, branch(name))
        found = inspect(client, found.repo, found.id, wait=True)
    except RequestError:
        return None
    return None if found.error else found


def write(client: Connection, name: str, contents: Mapping[str, bytes | Path]) -> Commit:
    """Write files into a branch as one finished commit; writing the same again changes nothing.

    Raises:
        StorageError: the server found the commit invalid, or another program deleted it.
    """
    create_repo(client)
    modify_files(client, _requests(client, name, contents))
    commit = newest(client, name)
    if commit is None:
        raise StorageError(f"what was written to {branch(name)} is gone; another program deleted it")
    return commit


def _requests(client: Connection, name: str, contents: Mapping[str, bytes | Path]) -> Iterator[ChangeRequest]:
    yield to_head(client, branch(name))
    for path, content in contents.items():
        # A doubled writer would append to what the first one wrote.
        yield deletion(path)
        yield from additions(path, content)


def delete(client: Connection, prefixes: tuple[str, ...], kinds: tuple[str, ...], now: float) -> None:
    """Delete branches with their commits; what cannot be deleted is logged and stays.

    Args:
        client: the connection.
        prefixes: of the branches to delete.
        kinds: prefixes of the branches to delete if they are older than `FORGOTTEN_AFTER`.
        now: seconds since 1970.
    """
    for name in names(client, ""):
        old = name.startswith(kinds) and _started(client, name) < now - FORGOTTEN_AFTER
        if old or name.startswith(prefixes):
            try:
                _delete(client, name)
            except grpc.RpcError as error:
                logger.debug("%s stays: %s", branch(name), error.details())


def _started(client: Connection, name: str) -> float:
    try:
        return head(client, branch(name)).started
    except RequestError:
        return float("inf")


def _delete(client: Connection, name: str) -> None:
    commits = list(history(client, branch(name)))
    client.pfs.delete_branch(branch=client.branch(branch(name)), force=True)
    for commit in commits:
        client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit.id))
