"""Atomic publication of a result into an open output commit: one file set, added, read back and compared.

Hazards of pachd's ways of writing, for a late or repeated writer (all seen on pachd 2.12):

- A ``ModifyFile`` stream that ends after the commit was finished destroys the commit; ``AddFileSet`` is refused.
- A file that is added twice is doubled, unless the same file set deletes it first.
- ``DeleteFile("/")`` in a file set deletes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping

import grpc

from pachyderm.client.change_stream import ChangeRequest, additions, copy, create_file_set, deletion
from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import Expected, FileContent, StoredFile, expected
from pachyderm.client.files import Listing, files
from pachyderm.client.rpc import file_of
from pachyderm.errors import CommitFailedError, LostClaimError

logger = logging.getLogger(__name__)

TRIES = 3
"""How often a result is added while the commit does not show it, before publication fails."""


def publish(
    client: Connection,
    commit: Commit,
    result: Mapping[str, FileContent],
    check: Callable[[], None],
    present: Callable[[], Listing] | None = None,
) -> dict[str, Expected]:
    """Make an open commit hold exactly `result`.

    Args:
        client: the connection.
        commit: open, all of its ancestors ended.
        result: path -> content, the report included.
        check: called before anything becomes visible; raises LostClaimError if the claim was lost.
        present: returns the listing of everything that the commit shows now; by default all files are listed.

    Returns:
        the expected listing, for `differences` after the commit was finished.

    Raises:
        LostClaimError: another attempt has finished the commit.
        CommitFailedError: after several tries the commit still holds something else: another program writes into it.
    """
    present = present or (lambda: files(client, commit.repo, commit.id))
    want = {path: expected(content) for path, content in result.items()}
    for attempt in range(1, TRIES + 1):
        listing = present()
        wrong = differences(listing, want)
        if not wrong:
            return _with_hashes(want, listing)
        if attempt > 1:
            logger.warning("%s does not hold what was published (%s); adding it again", commit, ", ".join(wrong[:5]))
        file_set = create_file_set(client, _requests(client, result, listing, wrong))
        check()
        _add_file_set(client, commit, file_set)
    listing = present()
    wrong = differences(listing, want)
    if wrong:
        paths = ", ".join(wrong[:5])
        raise CommitFailedError(str(commit), f"another writer changes it while it is published: {paths}")
    return _with_hashes(want, listing)


def _add_file_set(client: Connection, commit: Commit, file_set: str) -> None:
    try:
        client.pfs.add_file_set(commit=client.commit(commit.repo, commit.id), file_set_id=file_set)
    except grpc.RpcError as error:
        if "finished" in (error.details() or ""):
            raise LostClaimError(f"another attempt finished {commit} first") from error
        raise


def _with_hashes(want: Mapping[str, Expected], listing: Listing) -> dict[str, Expected]:
    """Return `want` with the hashes of a listing: a large file's hash is known only once the server holds it."""
    return {path: Expected(expectation.bytes, listing[path].hash) for path, expectation in want.items()}


def differences(listing: Listing, want: Mapping[str, Expected]) -> list[str]:
    """Return the paths at which a listing differs from the expected one, in byte order."""
    wrong = [path for path in listing if path not in want]
    for path, expectation in want.items():
        entry = listing.get(path)
        if entry is None or entry.bytes != expectation.bytes or expectation.hash not in (None, entry.hash):
            wrong.append(path)
    return sorted(wrong, key=str.encode)


def _requests(
    client: Connection, result: Mapping[str, FileContent], present: Listing, wrong: list[str]
) -> Iterator[ChangeRequest]:
    """Yield, for each path to correct, a delete and then its content if it has any: a bare add would append."""
    # A large file inherited from the parent may differ from ours although its size is the same.
    unsure = [path for path, content in result.items() if path in present and expected(content).hash is None]
    for path in sorted({*wrong, *unsure}, key=str.encode):
        yield deletion(path)
        content = result.get(path)
        match content:
            case None:
                continue
            case StoredFile():
                yield copy(path, file_of(client, content.repo, content.commit, content.path))
            case _:
                yield from additions(path, content)
