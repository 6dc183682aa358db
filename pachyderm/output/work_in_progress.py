"""Unfinished work of stages, kept in a separate repo where the next attempt finds it on any machine.

The repo stands outside the DAG: it has no provenance, triggers nothing and is part of no record. It may be deleted at
any time, which costs repeated work at most (docs/decisions/006-unfinished-work.md).
"""

from __future__ import annotations

import contextlib
import logging
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.change_stream import ChangeRequest, additions, deletion, modify_files, to_head
from pachyderm.client.commits import Commit, head, history, inspect, refuse_open
from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.files import FileEntry, files
from pachyderm.errors import PachydermError, RequestError
from pachyderm.record.fingerprints import listing_digest

logger = logging.getLogger(__name__)

UNFINISHED = BranchName("unfinished_work", "master")
"""Holds one folder per fingerprint: equal work can be resumed from it."""


@dataclass(frozen=True)
class Saved:
    """The files that one save sent.

    Attributes:
        files: paths of new and changed files, relative to the folder, sorted.
        bytes: their total size.
    """

    files: tuple[str, ...] = ()
    bytes: int = 0


@dataclass(frozen=True)
class _Version:
    """Identifies the state of a local file, which is either replaced as a whole or appended to."""

    inode: int
    bytes: int
    modified: int


class UnfinishedWork:
    """The copy of one folder in Pachyderm.

    Args:
        client: the connection; not used by another thread during a call.
        fingerprint: of the output commit that is being filled.
        folder: the local folder.
    """

    def __init__(self, client: Connection, fingerprint: str, folder: Path) -> None:
        self._client, self._folder, self._prefix = client, folder, f"/{fingerprint}/"
        self._sent: dict[str, tuple[_Version, FileEntry]] = {}

    def save(self) -> Saved:
        """Send the files that changed since the last save, delete those that are gone, and squash older commits.

        Raises:
            RequestError: another program holds an open commit on the branch.
        """
        newest = _head(self._client)
        if newest is not None:
            refuse_open(newest, "start again")
        present = self._listing(newest)
        local = self._local()
        changed = {
            path: version
            for path, version in local.items()
            if path not in present or self._sent.get(path) != (version, present[path])
        }
        gone = [path for path in present if path not in local]
        if not changed and not gone:
            return Saved()
        if newest is None:
            create_repo(self._client)
        modify_files(self._client, self._requests(list(changed), gone))
        listing = self._listing(_head(self._client))
        self._sent = {path: (version, listing[path]) for path, version in local.items() if path in listing}
        _squash_older(self._client)
        files_sent = tuple(path.removeprefix(self._prefix) for path in changed)
        return Saved(files_sent, sum(version.bytes for version in changed.values()))

    def fetch(self) -> None:
        """Download what was saved into the folder, if that is empty."""
        newest = None if any(self._folder.iterdir()) else _readable(self._client)
        wanted = self._listing(newest)
        if newest is None or not wanted:
            return
        download(
            self._client,
            newest.repo,
            newest.id,
            wanted,
            self._folder,
            rename=lambda path: path.removeprefix(self._prefix),
        )
        self._sent = {path: (version, wanted[path]) for path, version in self._local().items()}
        logger.info("resuming the unfinished work of an earlier attempt (%d files)", len(wanted))

    def version(self) -> str:
        """Return a digest of what is saved, by which processes that fetch it at different times recognize it."""
        return listing_digest(self._listing(_readable(self._client)))

    def forget(self) -> None:
        """Delete what was saved."""
        gone = list(self._listing(_readable(self._client)))
        if gone:
            modify_files(self._client, self._requests([], gone))
            _squash_older(self._client)

    def _listing(self, commit: Commit | None) -> dict[str, FileEntry]:
        """Return the listing of this folder in a commit, once the server has finished that; empty for None."""
        if commit is None:
            return {}
        finished = inspect(self._client, commit.repo, commit.id, wait=True)
        return files(self._client, finished.repo, finished.id, self._prefix)

    def _local(self) -> dict[str, _Version]:
        """Return path in the commit -> version of the folder's files, sorted by path."""
        versions = {}
        for path in sorted(self._folder.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # deleted since the folder was listed
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    version = _Version(status.st_ino, status.st_size, status.st_mtime_ns)
                    versions[self._prefix + path.relative_to(self._folder).as_posix()] = version
        return versions

    def _requests(self, changed: list[str], gone: list[str]) -> Iterator[ChangeRequest]:
        """Yield one stream on the branch by name: the server makes the commit once all of it has arrived."""
        yield to_head(self._client, UNFINISHED)
        for path in (*gone, *changed):
            yield deletion(path)
        for path in changed:
            with contextlib.suppress(FileNotFoundError):
                yield from additions(path, self._folder / path.removeprefix(self._prefix))


@contextmanager
def kept(
    client: Connection, fingerprint: str, folder: Path, check: Callable[[Connection], None]
) -> Iterator[Callable[[], None]]:
    """Download the unfinished work of an earlier attempt into a folder, and provide a function that saves the folder.

    If the block raises, the folder is saved once more; if it succeeds, what was saved is deleted. A save that fails is
    logged and stops nothing.

    Args:
        client: the connection; the function uses another one, so it may be called from another thread.
        fingerprint: of the output commit that is being filled.
        folder: the folder to save.
        check: called with a connection before each save; raises LostClaimError if the claim was lost, since the save
            would overwrite the work of the attempt that took over, which is further on.
    """
    with closing(client.another()) as second:
        unfinished = UnfinishedWork(second, fingerprint, folder)
        unfinished.fetch()

        def save() -> None:
            try:
                check(second)
                started = time.monotonic()
                saved = unfinished.save()
            except (grpc.RpcError, ConnectionError, OSError, PachydermError) as error:
                logger.warning("the unfinished work could not be saved: %s", error)
            else:
                logger.info(
                    "saved %d files of unfinished work (%.1f MB) in %.1f s",
                    *(len(saved.files), saved.bytes / 1e6, time.monotonic() - started),
                )

        try:
            yield save
        except BaseException:
            save()
            raise
        unfinished.forget()


@contextmanager
def forgotten(client: Connection, fingerprint: str, folder: Path) -> Iterator[Callable[[], None]]:
    """Delete the unfinished work that other processes saved, if the block succeeds.

    Args:
        client: the connection.
        fingerprint: of the output commit that is being filled.
        folder: the local folder of the unfinished work.
    """
    yield lambda: None
    UnfinishedWork(client, fingerprint, folder).forget()


def _head(client: Connection) -> Commit | None:
    try:
        return head(client, UNFINISHED)
    except RequestError:
        return None


def _readable(client: Connection) -> Commit | None:
    """Return the newest commit whose files can be read."""
    commit = _head(client)
    while commit is not None and (commit.state == "open" or commit.error):
        commit = inspect(client, commit.repo, commit.parent) if commit.parent is not None else None
    return commit


def create_repo(client: Connection) -> None:
    """Create the repo of unfinished work if it is missing."""
    client.pfs.create_repo(
        repo=client.repo(UNFINISHED.repo),
        description="unfinished work of stages, by fingerprint; may be deleted at any time",
        update=True,
    )


def _squash_older(client: Connection) -> None:
    for commit in list(history(client, UNFINISHED))[1:]:
        try:
            client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=commit.id))
        except grpc.RpcError as error:
            logger.debug("an older commit of unfinished work stays: %s", error.details())
