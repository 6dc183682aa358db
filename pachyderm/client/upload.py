"""Puts local files into a repo as one commit, sending only what differs.

It exists because a commit is the unit that triggers, and an open input commit that is half written would be seen.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, history, inspect, refuse_open
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import expected, pieces
from pachyderm.client.files import Listing, files
from pachyderm.errors import RequestError

logger = logging.getLogger(__name__)

MESSAGE = "message"
"""Metadata key of a commit's message, which is also its description."""
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds between two attempts to start a commit while another writer's is open."""


@dataclass(frozen=True)
class Put:
    """What one `put` did.

    Attributes:
        commit: id of the new commit, or None where nothing differed.
        put: how many files were sent.
        deleted: how many were deleted.
        bytes: sent.
    """

    commit: str | None
    put: int
    deleted: int
    bytes: int


def put(
    client: Connection,
    branch: BranchName,
    sources: Mapping[str, Path],
    *,
    mirror_under: str | None = None,
    message: str = "",
    progress: Callable[[int, int, str], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Put:
    """Commit files to an input branch.

    Without a message the server makes and finishes the commit in one step. A description needs a commit that is started
    and finished by the client; the files are uploaded before, so that it is open for a moment only.

    Args:
        client: the connection.
        branch: made where it is missing.
        sources: path in the commit (absolute) -> local file.
        mirror_under: delete what `sources` lacks below this path; None deletes nothing.
        message: the commit's description.
        progress: called as ``progress(files sent, files to send, path)``.
        sleep: waits for another writer.

    Raises:
        RequestError: the repo is not there, the branch's head is open, or one path would be a file and a folder.
    """
    before = _head(client, branch)
    base = _shown(client, before)
    present = files(client, branch.repo, base.id) if base else {}
    changed = {path: local for path, local in sources.items() if not _same(client, base, path, local, present)}
    gone: list[str] = []
    if mirror_under is not None:
        below = mirror_under.rstrip("/") + "/"
        gone = [path for path in present if path.startswith(below) and path not in sources]
    if not changed and not gone:
        return Put(None, 0, 0, 0)
    _refuse_collisions(branch, (present.keys() - gone) | sources.keys())
    failures: list[OSError] = []
    requests = _requests(changed, gone, progress, failures)
    try:
        if message:
            written = _write_described(client, branch, requests, message, sleep)
        else:
            # On the branch by name: pachd uploads all of the stream, then makes the commit and finishes it at once.
            target = pfs.ModifyFileRequest(set_commit=client.head(branch))
            client.pfs.modify_file(itertools.chain([target], requests))
            written = _ours(client, branch, before, changed, gone).id
    except grpc.RpcError:
        if failures:
            raise failures[0] from None
        raise
    made = inspect(client, branch.repo, written, wait=True)
    if made.error:
        raise RequestError(f"{made} was refused: {made.error}")
    return Put(made.id, len(changed), len(gone), sum(local.stat().st_size for local in changed.values()))


def _write_described(
    client: Connection,
    branch: BranchName,
    requests: Iterator[pfs.ModifyFileRequest],
    message: str,
    sleep: Callable[[float], None],
) -> str:
    """Commit with a description; returns the commit's id. A commit that cannot be completed is dropped."""
    file_set = client.pfs.create_file_set(requests).file_set_id
    commit = client.commit(branch.repo, _start(client, branch, message, sleep))
    try:
        client.pfs.add_file_set(commit=commit, file_set_id=file_set)
        client.edit_keys(branch.repo, commit.id, put={MESSAGE: message})
        client.pfs.finish_commit(commit=commit)
    except BaseException:
        _drop(client, commit)
        raise
    return commit.id


def _start(client: Connection, branch: BranchName, message: str, sleep: Callable[[float], None]) -> str:
    """Start a commit; another writer's commit may be open for a moment."""
    for pause in PAUSES:
        try:
            return client.pfs.start_commit(branch=client.branch(branch), description=message).id
        except grpc.RpcError as error:
            if "has not been finished" not in (error.details() or ""):
                raise
        sleep(pause)
    refuse_open(head(client, branch), "put again")
    return client.pfs.start_commit(branch=client.branch(branch), description=message).id


def _drop(client: Connection, commit: pfs.Commit) -> None:
    try:
        client.pfs.drop_commit_set(commit_set=pfs.CommitSet(id=commit.id))
    except grpc.RpcError:
        name = f"{commit.repo.name}@{commit.id}"
        logger.warning("%s stays open; drop it: pachctl delete commit %s", name, name, exc_info=True)


def _head(client: Connection, branch: BranchName) -> Commit | None:
    """The branch's head, which must have ended: a write by branch name goes INTO an open head (pachd)."""
    branches = {info.branch.name for info in client.pfs.list_branch(repo=client.repo(branch.repo))}
    if branch.branch not in branches:
        return None
    newest = head(client, branch)
    refuse_open(newest, "put again")
    return inspect(client, branch.repo, newest.id, wait=True)


def _shown(client: Connection, newest: Commit | None) -> Commit | None:
    """The commit whose files a new one begins with: pachd leaves out those that ended with an error."""
    at = newest
    while at is not None and at.error:
        at = inspect(client, at.repo, at.parent, wait=True) if at.parent is not None else None
    return at


def _refuse_collisions(branch: BranchName, paths: Set[str]) -> None:
    """Refuse what the server would only find when the commit is there: it could not be read, nor any put upon it."""
    folders: set[str] = set()
    for path in sorted(paths):
        above = path.rpartition("/")[0]
        while above and above not in folders:
            if above in paths:
                raise RequestError(
                    f"{above} would be a file and a folder of {branch} at once, for {path} lies in it; "
                    "give one of them another --prefix, or let --mirror delete what is there"
                )
            folders.add(above)
            above = above.rpartition("/")[0]


def _same(client: Connection, commit: Commit | None, path: str, local: Path, present: Listing) -> bool:
    entry = present.get(path)
    if commit is None or entry is None:
        return False
    want = expected(local)
    if want.bytes != entry.bytes or want.hash is not None:
        return want.bytes == entry.bytes and want.hash == entry.hash
    if want.bytes == 0:
        return True
    there = hashlib.sha256()
    for part in client.pfs.get_file(file=client.file(commit.repo, commit.id, path)):
        there.update(part.value)
    with local.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest() == there.digest()


def _ours(
    client: Connection, branch: BranchName, before: Commit | None, changed: Mapping[str, Path], gone: list[str]
) -> Commit:
    """The commit that our write made; another writer may have committed since."""
    new: list[Commit] = []
    for commit in history(client, branch):
        if before is not None and commit.id == before.id:
            break
        new.append(commit)
    if len(new) == 1:
        return new[0]
    new.reverse()
    # A commit with a description was started by a client that knows its id.
    for commit in [commit for commit in new if not commit.description]:
        ended = inspect(client, commit.repo, commit.id, wait=True)
        if ended.error:
            continue
        listing = files(client, commit.repo, commit.id)
        arrived = all(_same(client, ended, path, local, listing) for path, local in changed.items())
        if arrived and not any(path in listing for path in gone):
            return commit
    raise RequestError(f"what was put into {branch} is gone again: another writer dropped or changed it")


def _requests(
    changed: Mapping[str, Path],
    gone: list[str],
    progress: Callable[[int, int, str], None] | None,
    failures: list[OSError],
) -> Iterator[pfs.ModifyFileRequest]:
    """The changes as requests; a local file that cannot be read is appended to `failures` and raised."""
    for path in gone:
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
    for done, (path, local) in enumerate(changed.items()):
        if progress:
            progress(done, len(changed), path)
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        try:
            yield from pieces(path, local)
        except OSError as error:
            failures.append(error)
            raise
    if progress:
        progress(len(changed), len(changed), "")
