"""Publishes a result into an open output commit: one file set, added, read back and compared.

It exists because pachd's ways of writing differ in what a late or repeated writer can break. Seen on pachd: a
``ModifyFile`` stream that ends after the commit destroys it, ``AddFileSet`` is refused then; a file added twice is
doubled unless it is deleted first; ``DeleteFile("/")`` in a file set deletes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import PIECE, Expected, FileContent, StoredFile, addition, expected, pieces
from pachyderm.client.files import Listing, files
from pachyderm.errors import CommitFailedError, LostClaimError

logger = logging.getLogger(__name__)

TRIES = 3
"""How often a result is added before what stands there is given up."""


def publish(
    client: Connection,
    commit: Commit,
    result: Mapping[str, FileContent],
    check: Callable[[], None],
    look: Callable[[], Listing] | None = None,
) -> dict[str, Expected]:
    """Make an open commit hold exactly `result`.

    Args:
        client: the connection.
        commit: open, and all its ancestors ended.
        result: path -> content, the report included.
        check: called before anything becomes visible; raises where the claim was lost.
        look: lists every file that the commit shows now; where the caller knows no quicker way, all are asked for.

    Returns:
        what the listing must say; give it to `differences` after the commit is finished.

    Raises:
        LostClaimError: another attempt has finished the commit.
        CommitFailedError: the commit still holds something else after several tries: a stranger writes into it.
    """
    look = look or (lambda: files(client, commit.repo, commit.id))
    want = {path: expected(content) for path, content in result.items()}
    for attempt in range(1, TRIES + 1):
        before = look()
        wrong = differences(before, want)
        if not wrong:
            return _settled(before, want)
        if attempt > 1:
            logger.warning("%s does not hold what was published (%s); adding it again", commit, ", ".join(wrong[:5]))
        made = client.pfs.create_file_set(_messages(client, result, before, wrong))
        check()
        _add_file_set(client, commit, made.file_set_id)
    after = look()
    wrong = differences(after, want)
    if wrong:
        raise CommitFailedError(str(commit), f"another writer changes it while it is published: {', '.join(wrong[:5])}")
    return _settled(after, want)


def _add_file_set(client: Connection, commit: Commit, file_set: str) -> None:
    try:
        client.pfs.add_file_set(commit=client.commit(commit.repo, commit.id), file_set_id=file_set)
    except grpc.RpcError as error:
        if "finished" in (error.details() or ""):
            raise LostClaimError(f"another attempt finished {commit} first") from error
        raise


def _settled(listing: Listing, want: Mapping[str, Expected]) -> dict[str, Expected]:
    """What is expected from now on: the hashes of large files are known once they are there."""
    return {path: Expected(one.bytes, listing[path].hash) for path, one in want.items()}


def differences(listing: Listing, want: Mapping[str, Expected]) -> list[str]:
    """Paths at which a listing is not as expected, in byte order."""
    wrong = [path for path in listing if path not in want]
    for path, expectation in want.items():
        entry = listing.get(path)
        if entry is None or entry.bytes != expectation.bytes or expectation.hash not in (None, entry.hash):
            wrong.append(path)
    return sorted(wrong, key=str.encode)


def _messages(
    client: Connection, result: Mapping[str, FileContent], present: Listing, wrong: list[str]
) -> Iterator[pfs.ModifyFileRequest]:
    """Per path a delete, then its content if there is any: never a bare add, which appends."""
    # A large file of the parent with the size of ours may still be another one.
    unsure = [path for path, content in result.items() if path in present and expected(content).hash is None]
    for path in sorted({*wrong, *unsure}, key=str.encode):
        yield pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path))
        content = result.get(path)
        match content:
            case None:
                continue
            case StoredFile():
                source = client.file(content.repo, content.commit, content.path)
                yield pfs.ModifyFileRequest(copy_file=pfs.CopyFile(dst=path, src=source))
            case bytes():
                for start in range(0, max(len(content), 1), PIECE):
                    yield addition(path, content[start : start + PIECE])
            case _:
                yield from pieces(path, content)
