"""Reuse of an earlier good commit with the same fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pachyderm.client.commits import Commit, all_commits
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, Listing, content, files
from pachyderm.record.fingerprints import FINGERPRINT
from pachyderm.record.quarantine import is_quarantined
from pachyderm.record.stage_record import StageRecord, readable_record

LOOK_BACK = 1000
"""How many commits of the repo are searched, newest first."""


@dataclass(frozen=True)
class Earlier:
    """An earlier good commit with the same fingerprint.

    Attributes:
        commit: the earlier commit.
        files: its listing, without its report.
        record: the record that its stage wrote.
    """

    commit: Commit
    files: Mapping[str, FileEntry]
    record: StageRecord


def reusable(client: Connection, commit: Commit, fingerprint: str) -> Earlier | None:
    """Return the newest good commit of the same repo that has this fingerprint and a record of exactly its files."""
    for earlier in all_commits(client, commit.repo, number=LOOK_BACK):
        if earlier.id == commit.id or earlier.state != "good" or earlier.metadata.get(FINGERPRINT) != fingerprint:
            continue
        record = readable_record(client, earlier.repo, earlier.id) if not is_quarantined(earlier) else None
        listing = content(files(client, earlier.repo, earlier.id)) if record is not None else {}
        if record is not None and _matches(record, listing):
            return Earlier(earlier, listing, record)
    return None


def _matches(record: StageRecord, listing: Listing) -> bool:
    """Whether a record names exactly these files; hashes that the record does not know are not compared."""
    return record.files.keys() == listing.keys() and all(
        output.bytes == listing[path].bytes and output.hash in ("", listing[path].hash)
        for path, output in record.files.items()
    )
