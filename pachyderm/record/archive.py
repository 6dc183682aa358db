"""Reads commits and their records, each once, and says of what is gone or unreadable why.

It exists because a walk through the history comes by the same commits many times, and a dropped commit or a record of a
newer version must be a sentence in the answer and not the end of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, files
from pachyderm.errors import RequestError
from pachyderm.record.stage_record import StageRecord, read_record


class Archive:
    """Commits, records and single files of a Pachyderm, remembered; nothing that can still change is kept longer.

    Args:
        client: the connection.
    """

    def __init__(self, client: Connection) -> None:
        self.client = client
        self._commits: dict[tuple[str, str], Commit | None] = {}
        self._records: dict[tuple[str, str], StageRecord | str | None] = {}
        self._entries: dict[tuple[str, str, str], FileEntry | None] = {}

    def commit(self, repo: str, commit_id: str) -> Commit | None:
        """A commit, or None where it was dropped."""
        key = (repo, commit_id)
        if key not in self._commits:
            try:
                found = inspect(self.client, repo, commit_id)
            except RequestError:
                found = None
            # An alias is another commit: the one that was named is gone.
            self._commits[key] = found if found is not None and found.id == commit_id else None
        return self._commits[key]

    def know(self, commits: Iterable[Commit]) -> None:
        """Remember commits that were read in one go."""
        for commit in commits:
            self._commits[commit.repo, commit.id] = commit

    def record(self, commit: Commit) -> StageRecord | None:
        """What the stage said, or None where nothing can be read; see `trouble`."""
        told = self._told(commit)
        return told if isinstance(told, StageRecord) else None

    def trouble(self, commit: Commit) -> str:
        """Why there is no record of a commit although there is something, or empty."""
        told = self._told(commit)
        return told if isinstance(told, str) else ""

    def _told(self, commit: Commit) -> StageRecord | str | None:
        key = (commit.repo, commit.id)
        if key not in self._records:
            told: StageRecord | str | None = None
            if commit.state == "good":
                try:
                    told = read_record(self.client, commit.repo, commit.id)
                except RequestError as error:
                    told = str(error)
                if isinstance(told, StageRecord) and told.commit != str(commit):
                    told = f"its stage.json speaks of {told.commit}; somebody copied it there"
            self._records[key] = told
        return self._records[key]

    def entry(self, repo: str, commit_id: str, path: str) -> FileEntry | None:
        """Size and hash of one file, or None where the commit has no such file."""
        key = (repo, commit_id, path)
        if key not in self._entries:
            self._entries[key] = files(self.client, repo, commit_id, path).get(path)
        return self._entries[key]
