"""A cache of commits, stage records and file entries for walks through the history."""

from __future__ import annotations

from collections.abc import Iterable

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, files
from pachyderm.errors import RequestError
from pachyderm.record.stage_record import StageRecord, read_record


class RecordCache:
    """Reads each commit, record and file entry once.

    Dropped commits and unreadable records are values, not errors, so that a walk can go on past them. Entries never
    expire: use one cache per command.

    Args:
        client: the connection.
    """

    def __init__(self, client: Connection) -> None:
        self.client = client
        self._commits: dict[tuple[str, str], Commit | None] = {}
        self._records: dict[tuple[str, str], StageRecord | str | None] = {}
        self._entries: dict[tuple[str, str, str], FileEntry | None] = {}

    def commit(self, repo: str, commit_id: str) -> Commit | None:
        """Return a commit, or None if it was dropped."""
        key = (repo, commit_id)
        if key not in self._commits:
            try:
                commit = inspect(self.client, repo, commit_id)
            except RequestError:
                commit = None
            # Pachyderm resolves the id of a commit set without a commit in this repo to an older commit (an alias).
            self._commits[key] = commit if commit is not None and commit.id == commit_id else None
        return self._commits[key]

    def add(self, commits: Iterable[Commit]) -> None:
        """Add commits that were read elsewhere."""
        for commit in commits:
            self._commits[commit.repo, commit.id] = commit

    def record(self, commit: Commit) -> StageRecord | None:
        """Return the record of a commit, or None if there is none that can be read (see `problem`)."""
        record = self._record_or_problem(commit)
        return record if isinstance(record, StageRecord) else None

    def input_record(self, record: StageRecord, repo: str) -> StageRecord | None:
        """Return the record of the input commit that a record names in a repo; None if it cannot be read."""
        source = next((source for source in record.inputs if source.repo == repo), None)
        commit = self.commit(repo, source.commit) if source is not None else None
        return self.record(commit) if commit is not None else None

    def problem(self, commit: Commit) -> str:
        """Return why the record of a commit cannot be used; empty if it can, or if there is none."""
        problem = self._record_or_problem(commit)
        return problem if isinstance(problem, str) else ""

    def _record_or_problem(self, commit: Commit) -> StageRecord | str | None:
        key = (commit.repo, commit.id)
        if key not in self._records:
            record: StageRecord | str | None = None
            if commit.state == "good":
                try:
                    record = read_record(self.client, commit.repo, commit.id)
                except RequestError as error:
                    record = str(error)
                if isinstance(record, StageRecord) and record.commit != str(commit):
                    record = f"its stage.json belongs to {record.commit}; it was copied to {commit}"
            self._records[key] = record
        return self._records[key]

    def entry(self, repo: str, commit_id: str, path: str) -> FileEntry | None:
        """Return size and hash of a file, or None if the commit has no such file."""
        key = (repo, commit_id, path)
        if key not in self._entries:
            self._entries[key] = files(self.client, repo, commit_id, path).get(path)
        return self._entries[key]
