"""The parent of a whole output: the earlier output of the same repo that the work on it may begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pachyderm.client.commits import Commit, CommitId, inspect, lineage
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, content, files
from pachyderm.record.fingerprints import digest, listing_digest
from pachyderm.record.quarantine import is_quarantined
from pachyderm.record.stage_record import StageRecord, readable_record

FARTHEST = 1000
"""How many ancestors are searched."""


@dataclass(frozen=True)
class Parent:
    """An earlier output of the same repo that the work on a whole output may begin with.

    Attributes:
        commit: the earlier output commit.
        record: the record that its stage wrote.
        sources: listing of the input commit that it was made from, without report and parameters file.
    """

    commit: Commit
    record: StageRecord
    sources: Mapping[str, FileEntry]

    def files(self, below: str) -> dict[str, FileEntry]:
        """Return the recorded files below a folder."""
        return {
            path: FileEntry(entry.bytes, entry.hash)
            for path, entry in self.record.files.items()
            if path.startswith(below)
        }

    def content(self, below: str) -> str:
        """Return the digest of the recorded content of the files below a folder."""
        return digest({path: self.record.files[path].sha256 for path in self.files(below)})


def parent_of(
    client: Connection, commit: Commit, source: Commit, expected: Mapping[CommitId, Parent] = MappingProxyType({})
) -> Parent | None:
    """Return the good output that was made from the nearest ancestor of an input commit; None if there is none.

    Only ancestors of the output commit count, which no later commit, promotion or retry changes: every attempt at the
    commit finds the same one. Left out are quarantined commits, those whose record cannot be read or does not agree
    with the input, those without files, and those of runs with hyperparameters of their own.

    Args:
        client: the connection.
        commit: an output commit; it need not exist yet, unlike its parent.
        source: the input commit that it is made from.
        expected: outputs that are not filled yet, as they are expected to be.
    """
    distances = {entry.id: number for number, entry in enumerate(lineage(client, source.repo, source.parent, FARTHEST))}
    candidates = []
    for entry in lineage(client, commit.repo, commit.parent, FARTHEST):
        made_from = next((key.id for key in entry.provenance if key.repo == source.repo), "")
        key = CommitId(entry.repo, entry.id)
        if made_from in distances and (key in expected or (entry.state == "good" and not is_quarantined(entry))):
            candidates.append((distances[made_from], entry, CommitId(source.repo, made_from)))
    for _, entry, origin in sorted(candidates, key=lambda candidate: candidate[0]):
        parent = expected.get(CommitId(entry.repo, entry.id)) or _recorded_parent(client, entry, origin)
        if parent is not None and _is_of_the_line(parent.record):
            return parent
    return None


def read_parent(client: Connection, repo: str, commit_id: str) -> Parent | None:
    """Return an output commit as a parent that was chosen before; None if it can no longer be one."""
    commit = inspect(client, repo, commit_id)
    record = readable_record(client, repo, commit_id)
    if record is None or not record.inputs or is_quarantined(commit):
        return None
    return _recorded_parent(client, commit, CommitId(record.inputs[0].repo, record.inputs[0].commit))


def _recorded_parent(client: Connection, commit: Commit, source: CommitId) -> Parent | None:
    record = readable_record(client, commit.repo, commit.id)
    recorded = next((entry for entry in record.inputs if entry.repo == source.repo), None) if record else None
    if record is None or recorded is None:
        return None
    sources = content(files(client, source.repo, source.id))  # empty if the commit was dropped
    return Parent(commit, record, sources) if listing_digest(sources) == recorded.digest else None


def _is_of_the_line(record: StageRecord) -> bool:
    """Return whether an output has files and was not made by a run with hyperparameters of its own."""
    return bool(record.files) and all(entry.origin != "run" for entry in record.parameters.values())
