"""Finds an earlier good commit that holds what this one shall hold.

It exists so that going back to earlier data or parameters trains nothing and moves no bytes through the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pachyderm.commits import Commit, all_commits
from pachyderm.connection import Connection
from pachyderm.listings import FileEntry, content, files
from pachyderm.stage_record import StageRecord, readable_record

LOOK_BACK = 1000
"""How many commits of the repo are looked at, newest first."""

FINGERPRINT = "fingerprint"
"""Metadata key of a good output commit."""


@dataclass(frozen=True)
class Earlier:
    """An earlier good commit with the same fingerprint.

    Attributes:
        commit: it.
        files: its listing, without its report.
        record: what its stage said.
    """

    commit: Commit
    files: Mapping[str, FileEntry]
    record: StageRecord


def reusable(client: Connection, commit: Commit, fingerprint: str) -> Earlier | None:
    """Find the newest good commit of the same repo with this fingerprint and a record that names its files."""
    for earlier in all_commits(client, commit.repo, number=LOOK_BACK):
        if earlier.id == commit.id or earlier.state != "good" or earlier.metadata.get(FINGERPRINT) != fingerprint:
            continue
        record = readable_record(client, earlier.repo, earlier.id)
        listing = content(files(client, earlier.repo, earlier.id))
        if record is not None and {path: one.bytes for path, one in record.files.items()} == {
            path: entry.bytes for path, entry in listing.items()
        }:
            return Earlier(earlier, listing, record)
    return None
