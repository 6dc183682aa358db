"""Keeps the unfinished work of a stage in a repo of its own, where the next attempt finds it on any machine.

It exists because a pod's disk goes with the pod, and a long training must go on where it stopped. The repo stands
outside the DAG: no provenance, no trigger, no part of any record. It may be deleted at any time, which costs repeated
work at most.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import head, history
from pachyderm.client.connection import Connection
from pachyderm.client.download import download
from pachyderm.client.files import files
from pachyderm.client.upload import put
from pachyderm.errors import PachydermError

logger = logging.getLogger(__name__)

UNFINISHED = BranchName("unfinished_work", "master")
"""One folder per fingerprint: the work of equal fingerprints can be gone on with."""

SAVE_EVERY = 600.0
"""Seconds between two saves, and so the most work that a lost machine costs."""


@contextmanager
def kept(client: Connection, fingerprint: str, folder: Path, every: float = SAVE_EVERY) -> Iterator[None]:
    """Bring what an earlier attempt left into a folder, and save the folder while the block works.

    Where the block ends well the work is finished, and what was kept is forgotten.

    Args:
        client: the connection; saving uses another one.
        fingerprint: of the output that is worked on.
        folder: what is kept; files in it are replaced as a whole, never written in place.
        every: seconds between two saves.
    """
    fetch(client, fingerprint, folder)
    stop = threading.Event()

    def saving() -> None:
        second = client.another()
        try:
            while not stop.wait(every):
                _try_to_save(second, fingerprint, folder)
        finally:
            second.close()

    thread = threading.Thread(target=saving, name="unfinished", daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        stop.set()
        thread.join()
        _try_to_save(client, fingerprint, folder)
        raise
    stop.set()
    thread.join()
    forget(client, fingerprint)


def fetch(client: Connection, fingerprint: str, folder: Path) -> None:
    """Bring what was kept for a fingerprint into a folder that holds nothing yet."""
    if any(folder.iterdir()) or not _is_there(client):
        return
    newest = head(client, UNFINISHED)
    above = f"/{fingerprint}/"
    wanted = files(client, newest.repo, newest.id, above)
    if wanted:
        download(client, newest.repo, newest.id, wanted, folder, rename=lambda path: path.removeprefix(above))
        logger.info("unfinished work of an earlier attempt is gone on with (%d files)", len(wanted))


def save(client: Connection, fingerprint: str, folder: Path) -> None:
    """Keep a folder's files for the next attempt; the versions before are let go."""
    kept_files = {
        f"/{fingerprint}/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()
    }
    if not kept_files:
        return
    if not _is_there(client):
        client.pfs.create_repo(
            repo=client.repo(UNFINISHED.repo),
            description="unfinished work of stages, by fingerprint; may be deleted at any time",
            update=True,
        )
    put(client, UNFINISHED, kept_files, mirror_under=f"/{fingerprint}")
    _let_older_go(client)


def forget(client: Connection, fingerprint: str) -> None:
    """Delete what was kept for a fingerprint."""
    if _is_there(client):
        put(client, UNFINISHED, {}, mirror_under=f"/{fingerprint}")
        _let_older_go(client)


def _try_to_save(client: Connection, fingerprint: str, folder: Path) -> None:
    try:
        save(client, fingerprint, folder)
    except (grpc.RpcError, ConnectionError, OSError, PachydermError) as error:
        # Economy only: the work itself goes on, or fails for reasons of its own.
        logger.warning("the unfinished work could not be saved: %s", error)


def _let_older_go(client: Connection) -> None:
    for commit in list(history(client, UNFINISHED))[1:]:
        try:
            client.pfs.squash_commit_set(commit_set=pfs.CommitSet(id=commit.id))
        except grpc.RpcError as error:
            logger.debug("an older version of unfinished work stays: %s", error.details())


def _is_there(client: Connection) -> bool:
    try:
        client.pfs.inspect_branch(branch=client.branch(UNFINISHED))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            return False
        raise
    return True
