"""The nearest good ancestor of an output commit, and listings reckoned from it.

It exists because listing 100,000 files costs a minute, and what changed since the ancestor costs what the change costs:
the ancestor's record says what its stage read and wrote, and Pachyderm says what differs from that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import grpc

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import REPORT, FileEntry, content, differing, files, with_changes
from pachyderm.record.quarantine import is_quarantined
from pachyderm.record.stage_record import StageRecord, readable_record


@dataclass(frozen=True)
class Ancestor:
    """The nearest good ancestor of an output commit, with the record of a stage that works datum by datum.

    Attributes:
        commit: it.
        record: what its stage said.
        files: its listing, without its report.
        datums: id of the input commit whose files were its datums.
        sources: listing of that input commit, without report and parameters file.
    """

    commit: Commit
    record: StageRecord
    files: Mapping[str, FileEntry]
    datums: str
    sources: Mapping[str, FileEntry]


def nearest_good(client: Connection, commit: Commit, datums: str) -> Ancestor | None:
    """Find the ancestor, or None where there is none whose record can be reckoned with.

    Args:
        client: the connection.
        commit: an output commit; all older ones have ended.
        datums: the input repo whose files are datums.
    """
    at = commit
    while at.parent is not None:
        at = inspect(client, at.repo, at.parent)
        if at.state == "good" and not is_quarantined(at):
            record = readable_record(client, at.repo, at.id)
            return None if record is None else _reckoned(client, at, record, datums)
    return None


def _reckoned(client: Connection, commit: Commit, record: StageRecord, datums: str) -> Ancestor | None:
    read = next((one.commit for one in record.inputs if one.repo == datums), None)
    sources = {
        one.source: FileEntry(one.source_bytes, one.source_hash)
        for one in record.files.values()
        if one.source is not None and one.source_hash is not None and one.source_bytes is not None
    }
    sources |= {one.path: FileEntry(one.bytes, one.hash) for one in record.rejected}
    if read is None or len(sources) != record.counts.inputs:
        return None
    held = {path: FileEntry(one.bytes, one.hash) for path, one in record.files.items()}
    if not all(one.hash for one in held.values()):
        # The server's hash of a file of several chunks was not known when the record was written.
        held = content(files(client, commit.repo, commit.id))
    return Ancestor(commit, record, held, read, sources)


def datums_of(client: Connection, repo: str, commit_id: str, ancestor: Ancestor | None) -> dict[str, FileEntry]:
    """The datums of an input commit: its listing without report and parameters file."""
    if ancestor is None:
        return content(files(client, repo, commit_id))
    return _since(client, repo, commit_id, ancestor.datums, ancestor.sources)


def present_in(client: Connection, commit: Commit, ancestor: Ancestor | None) -> dict[str, FileEntry]:
    """Every file that an output commit shows now, its report included."""
    if ancestor is None:
        return files(client, commit.repo, commit.id)
    shown = _since(client, commit.repo, commit.id, ancestor.commit.id, ancestor.files)
    return {**shown, **files(client, commit.repo, commit.id, REPORT)}


def _since(
    client: Connection, repo: str, commit_id: str, before: str, listing: Mapping[str, FileEntry]
) -> dict[str, FileEntry]:
    """The listing of a commit, reckoned from that of another commit of its repo."""
    if commit_id == before:
        return dict(listing)
    try:
        changed = differing(client, repo, commit_id, before)
    except grpc.RpcError as error:
        # The other commit was dropped, or one of them holds nothing at all.
        if error.code() is not grpc.StatusCode.NOT_FOUND and "not found" not in (error.details() or ""):
            raise
        return content(files(client, repo, commit_id))
    return content(with_changes(listing, changed))
