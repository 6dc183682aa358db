"""Uploads local files to an input branch as one commit, sending only what differs.

A commit is what triggers work, and output commits are opened as soon as it is started. It must therefore be complete at
once, or be open for a moment only.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.change_stream import ChangeRequest, UploadProgress, create_file_set, modify_files, send, to_head
from pachyderm.client.changes import PutChanges, changes_of, same
from pachyderm.client.check_out import WORTH_KEEPING
from pachyderm.client.commits import Commit, head, history, inspect, refuse_open
from pachyderm.client.connection import Connection
from pachyderm.client.files import files
from pachyderm.client.resumable_upload import ResumableUpload, resumable_upload, started_commit
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

MESSAGE_KEY = "message"
"""Metadata key of a commit's message, which is also its description."""

START_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds between two attempts to start a commit while another writer's commit is open."""


@dataclass(frozen=True)
class Put:
    """The result of one `put`.

    Attributes:
        commit: id of the new commit, or None if nothing differed.
        put: number of files sent.
        deleted: number of files deleted.
        bytes: total size of the files sent.
        resent: number of files sent although the commit has them.
        resumed: number of files of `put` that an interrupted upload had sent.
    """

    commit: str | None
    put: int
    deleted: int
    bytes: int
    resent: int = 0
    resumed: int = 0


def put(
    client: Connection,
    branch: BranchName,
    sources: Mapping[str, Path],
    *,
    mirror_under: str | None = None,
    message: str = "",
    resend: bool = False,
    memory: Path | None = None,
    progress: UploadProgress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Put:
    """Commit files to an input branch.

    Without a message, the server creates and finishes the commit in one step. A message requires a commit that the
    client starts and finishes; the files are uploaded beforehand, so it is open for a moment only. The same holds for
    more than `WORTH_KEEPING` files or bytes with `memory`: if they are interrupted, the next call goes on with them.

    Args:
        client: the connection.
        branch: created if missing.
        sources: absolute path in the commit -> local file.
        mirror_under: delete the files below this path that `sources` lacks; None deletes nothing.
        message: the commit's description.
        resend: send the files that do not differ too, in a file set that no commit gets: an embedded store that holds
            their content damaged replaces it.
        memory: local file that remembers what was uploaded (see `resumable_upload.memory_of`); None remembers nothing.
        progress: see `UploadProgress`.
        sleep: called with seconds to wait for another writer.

    Raises:
        RequestError: the repo does not exist, the branch's head is open, or a path would be both a file and a folder.
        OSError: a local file cannot be read; no commit was made.
    """
    if memory is not None:
        _delete_interrupted(client, branch, memory)
    changes = changes_of(client, branch, sources, mirror_under=mirror_under, resend=resend)
    changed, deleted = changes.put, changes.deleted
    unchanged = {path: local for path, local in sources.items() if path not in changed} if resend else {}
    if unchanged:
        send(unchanged, [], progress, partial(create_file_set, client))
    if not changes:
        return Put(None, 0, 0, 0, len(unchanged))
    resumed = 0
    if memory is not None and _is_large(changes):
        with resumable_upload(client, memory) as upload:
            file_set = upload.send(changed, deleted, progress)
            commit_id = _commit(client, branch, message, sleep, file_set, upload)
        resumed = upload.resumed
    elif message:
        write = partial(_write_described, client, branch, message, sleep)
        commit_id = send(changed, deleted, progress, write)
    else:
        # To the branch by name: pachd receives the whole stream, then creates the commit and finishes it at once.
        target = to_head(client, branch)
        send(changed, deleted, progress, lambda requests: modify_files(client, itertools.chain([target], requests)))
        commit_id = _find_own_commit(client, branch, changes.before, changed, deleted).id
    commit = inspect(client, branch.repo, commit_id, wait=True)
    if commit.error:
        raise RequestError(f"the server rejected {commit}: {commit.error}")
    return Put(commit.id, len(changed), len(deleted), changes.bytes, len(unchanged), resumed)


def _is_large(changes: PutChanges) -> bool:
    return len(changes.put) >= WORTH_KEEPING[0] or changes.bytes >= WORTH_KEEPING[1]


def _delete_interrupted(client: Connection, branch: BranchName, memory: Path) -> None:
    """Delete the commit that an upload had started when it was killed, if it is still open."""
    commit_id = started_commit(memory)
    if commit_id is None:
        return
    try:
        commit = inspect(client, branch.repo, commit_id)
    except RequestError:
        return
    if commit.id == commit_id and commit.state == "open":
        logger.info("%s, which an interrupted put left open, is deleted", commit)
        _delete(client, client.commit(branch.repo, commit_id))


def _write_described(
    client: Connection,
    branch: BranchName,
    message: str,
    sleep: Callable[[float], None],
    requests: Iterator[ChangeRequest],
) -> str:
    """Commit with a description and return the commit's id."""
    return _commit(client, branch, message, sleep, create_file_set(client, requests))


def _commit(
    client: Connection,
    branch: BranchName,
    message: str,
    sleep: Callable[[float], None],
    file_set: str,
    upload: ResumableUpload | None = None,
) -> str:
    """Commit a file set and return the commit's id; a commit that cannot be completed is deleted."""
    commit = client.commit(branch.repo, _start(client, branch, message, sleep))
    try:
        if upload is not None:
            upload.commit_started(commit.id)
        client.pfs.add_file_set(commit=commit, file_set_id=file_set)
        if message:
            client.edit_keys(branch.repo, commit.id, put={MESSAGE_KEY: message})
        client.pfs.finish_commit(commit=commit)
    except BaseException:
        _delete(client, commit)
        raise
    return commit.id


def _start(client: Connection, branch: BranchName, message: str, sleep: Callable[[float], None]) -> str:
    """Start a commit and return its id, waiting for another writer's commit that is open for a moment."""
    for pause in START_PAUSES:
        try:
            return client.pfs.start_commit(branch=client.branch(branch), description=message).id
        except grpc.RpcError as error:
            if "has not been finished" not in (error.details() or ""):
                raise
        sleep(pause)
    refuse_open(head(client, branch), "put again")
    return client.pfs.start_commit(branch=client.branch(branch), description=message).id


def _delete(client: Connection, commit: pfs.Commit) -> None:
    try:
        client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit.id))
    except grpc.RpcError:
        name = f"{commit.repo.name}@{commit.id}"
        logger.warning("%s is still open; delete it: pachctl delete commit %s", name, name, exc_info=True)


def _find_own_commit(
    client: Connection, branch: BranchName, before: Commit | None, changed: Mapping[str, Path], deleted: list[str]
) -> Commit:
    """Find the commit that this client's write created: pachd does not return it, and others may have committed."""
    candidates: list[Commit] = []
    for commit in history(client, branch):
        if before is not None and commit.id == before.id:
            break
        candidates.append(commit)
    if len(candidates) == 1:
        return candidates[0]
    for candidate in reversed(candidates):
        # A commit with a description was started by a client that knows its id.
        if candidate.description:
            continue
        commit = inspect(client, candidate.repo, candidate.id, wait=True)
        if commit.error:
            continue
        listing = files(client, commit.repo, commit.id)
        arrived = all(same(client, commit, path, local, listing) for path, local in changed.items())
        if arrived and not any(path in listing for path in deleted):
            return commit
    raise RequestError(
        f"the files put into {branch} are no longer there: another writer deleted or changed that commit; put again"
    )
