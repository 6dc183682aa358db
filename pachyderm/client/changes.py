"""The changes that local files would make to a branch: what differs from its newest readable commit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path

import grpc

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, head, inspect, refuse_open
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import expected
from pachyderm.client.files import Listing, files, read_pieces
from pachyderm.errors import RequestError


@dataclass(frozen=True)
class PutChanges:
    """What a commit of local files would change on a branch; false if it would change nothing.

    Attributes:
        before: the branch's head; None without a branch or a commit.
        present: listing of the commit that a new one starts with.
        put: absolute path in the commit -> local file, of the files to send.
        deleted: paths to delete, in byte order.
    """

    before: Commit | None
    present: Listing
    put: Mapping[str, Path]
    deleted: list[str]

    def __bool__(self) -> bool:
        return bool(self.put or self.deleted)

    @property
    def bytes(self) -> int:
        """Total size of the files to send."""
        return sum(local.stat().st_size for local in self.put.values())


def changes_of(
    client: Connection,
    branch: BranchName,
    sources: Mapping[str, Path],
    *,
    mirror_under: str | None = None,
    resend: bool = False,
) -> PutChanges:
    """Compare local files with a branch; writes nothing.

    Args:
        client: the connection.
        branch: may be missing.
        sources: absolute path in the commit -> local file.
        mirror_under: delete the files below this path that `sources` lacks; None deletes nothing.
        resend: whether the commit's content may be damaged; see `same`.

    Raises:
        RequestError: the repo does not exist, the branch's head is open, or a path would be both a file and a folder.
        OSError: a local file cannot be read.
    """
    before = _head(client, branch)
    base = _readable_base(client, before)
    present = files(client, branch.repo, base.id) if base else {}
    put = {path: local for path, local in sources.items() if not same(client, base, path, local, present, resend)}
    deleted = [] if mirror_under is None else _missing_below(mirror_under, present, sources)
    changes = PutChanges(before, present, put, deleted)
    if changes:
        _refuse_collisions(branch, (present.keys() - deleted) | sources.keys())
    return changes


def _head(client: Connection, branch: BranchName) -> Commit | None:
    """Return the branch's head once it has finished; None without a branch.

    The head must not be open: pachd directs a write by branch name INTO an open head.
    """
    branches = {info.branch.name for info in client.pfs.list_branch(repo=client.repo(branch.repo))}
    if branch.branch not in branches:
        return None
    newest = head(client, branch)
    refuse_open(newest, "put again")
    return inspect(client, branch.repo, newest.id, wait=True)


def _readable_base(client: Connection, newest: Commit | None) -> Commit | None:
    """Return the commit whose files a new one starts with: pachd skips commits that finished with an error."""
    commit = newest
    while commit is not None and commit.error:
        commit = inspect(client, commit.repo, commit.parent, wait=True) if commit.parent is not None else None
    return commit


def _refuse_collisions(branch: BranchName, paths: Set[str]) -> None:
    """Refuse a path that would be both a file and a folder.

    pachd only detects it when the commit is finished: neither that commit nor its children could be read.
    """
    folders: set[str] = set()
    for path in sorted(paths):
        parent = path.rpartition("/")[0]
        while parent and parent not in folders:
            if parent in paths:
                raise RequestError(
                    f"{parent} would be a file and a folder of {branch} at once, because {path} is below it; "
                    "give one of them another --prefix, or let --mirror delete the existing one"
                )
            folders.add(parent)
            parent = parent.rpartition("/")[0]


def same(
    client: Connection, commit: Commit | None, path: str, local: Path, present: Listing, resend: bool = False
) -> bool:
    """Return whether a commit holds the content of a local file at a path; reads it only if it is over one chunk.

    With `resend`, the commit's content may be damaged, and a file of the same size whose content cannot be read counts
    as the same.
    """
    entry = present.get(path)
    if commit is None or entry is None:
        return False
    want = expected(local)
    if want.bytes != entry.bytes or want.hash is not None:
        return want.bytes == entry.bytes and want.hash == entry.hash
    if want.bytes == 0:
        return True
    stored = hashlib.sha256()
    try:
        for piece in read_pieces(client, commit.repo, commit.id, path):
            stored.update(piece)
    except grpc.RpcError as error:
        if resend and error.code() is grpc.StatusCode.DATA_LOSS:
            return True
        raise
    with local.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest() == stored.digest()


def _missing_below(folder: str, present: Listing, sources: Mapping[str, Path]) -> list[str]:
    prefix = folder.rstrip("/") + "/"
    return [path for path in present if path.startswith(prefix) and path not in sources]
