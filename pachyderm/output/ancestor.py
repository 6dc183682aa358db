"""The ancestors of an output commit: waiting for older ones, and listings derived from the record of a good one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import REPORT, FileEntry, content, differing, files, with_changes
from pachyderm.record.quarantine import is_quarantined
from pachyderm.record.stage_record import StageRecord, readable_record

logger = logging.getLogger(__name__)

# Listing 100,000 files takes a minute. An ancestor's record already holds the listings of what its stage read and
# wrote, and DiffFile returns what changed since: the cost is that of the change.


@dataclass(frozen=True)
class Ancestor:
    """The nearest good ancestor of an output commit of a stage that works datum by datum.

    Attributes:
        commit: the ancestor.
        record: the record that its stage wrote.
        files: its listing, without its report.
        datums: id of the input commit whose files were its datums.
        sources: listing of that input commit, without report and parameters file.
    """

    commit: Commit
    record: StageRecord
    files: Mapping[str, FileEntry]
    datums: str
    sources: Mapping[str, FileEntry]


def wait_for_older(client: Connection, commit: Commit) -> None:
    """Wait until every older commit of the branch, back to the first good one, has ended.

    A good commit that is finished before one of them locks the repo for ever (seen on pachd 2.12).
    """
    while commit.parent is not None:
        older = inspect(client, commit.repo, commit.parent)
        if not older.ended:
            logger.info("%s waits for the older %s, which is %s; pix2pix trigger fills it", commit, older, older.state)
            older = inspect(client, older.repo, older.id, wait=True)
        if older.state == "good":
            return
        commit = older


def nearest_good(client: Connection, commit: Commit, datums: str) -> Ancestor | None:
    """Return the nearest good ancestor, or None if there is none or its record is incomplete.

    Args:
        client: the connection.
        commit: an output commit, all of whose ancestors have ended.
        datums: the input repo whose files are datums.
    """
    ancestor = commit
    while ancestor.parent is not None:
        ancestor = inspect(client, ancestor.repo, ancestor.parent)
        if ancestor.state == "good" and not is_quarantined(ancestor):
            record = readable_record(client, ancestor.repo, ancestor.id)
            return None if record is None else _from_record(client, ancestor, record, datums)
    return None


def _from_record(client: Connection, commit: Commit, record: StageRecord, datums: str) -> Ancestor | None:
    """Derive both listings from a record; None if it does not account for every datum."""
    datums_commit = next((entry.commit for entry in record.inputs if entry.repo == datums), None)
    sources = {
        output.source: FileEntry(output.source_bytes, output.source_hash)
        for output in record.files.values()
        if output.source is not None and output.source_hash is not None and output.source_bytes is not None
    }
    sources |= {entry.path: FileEntry(entry.bytes, entry.hash) for entry in record.rejected}
    if datums_commit is None or len(sources) != record.counts.inputs:
        return None
    outputs = {path: FileEntry(output.bytes, output.hash) for path, output in record.files.items()}
    if not all(entry.hash for entry in outputs.values()):
        # The server's hash of a file of several chunks was unknown when the record was written.
        outputs = content(files(client, commit.repo, commit.id))
    return Ancestor(commit, record, outputs, datums_commit, sources)


def datums_of(client: Connection, repo: str, commit_id: str, ancestor: Ancestor | None) -> dict[str, FileEntry]:
    """Return the datums of an input commit: its listing without report and parameters file."""
    if ancestor is None:
        return content(files(client, repo, commit_id))
    return _updated(client, repo, commit_id, ancestor.datums, ancestor.sources)


def present_in(client: Connection, commit: Commit, ancestor: Ancestor | None) -> dict[str, FileEntry]:
    """Return the listing of everything that an output commit shows now, its report included."""
    if ancestor is None:
        return files(client, commit.repo, commit.id)
    outputs = _updated(client, commit.repo, commit.id, ancestor.commit.id, ancestor.files)
    return {**outputs, **files(client, commit.repo, commit.id, REPORT)}


def _updated(
    client: Connection, repo: str, commit_id: str, before: str, listing: Mapping[str, FileEntry]
) -> dict[str, FileEntry]:
    """Return the listing of a commit, given that of the commit `before` of the same repo."""
    if commit_id == before:
        return dict(listing)
    try:
        changed = differing(client, repo, commit_id, before)
    except grpc.RpcError as error:
        # The other commit was dropped, or one of the two holds no file at all.
        if error.code() is not grpc.StatusCode.NOT_FOUND and "not found" not in (error.details() or ""):
            raise
        return content(files(client, repo, commit_id))
    return content(with_changes(listing, changed))
