"""Quarantine of good output commits whose files differ from their record."""

from __future__ import annotations

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection

QUARANTINED = "untrue"
"""Metadata key of a quarantined commit; its value is the reason.

A finished commit cannot be changed. Without the mark, later commits would carry its files over, and equal inputs would
reuse it.
"""


def quarantine(client: Connection, commit: Commit, reason: str) -> None:
    """Quarantine a commit; a second call replaces the reason."""
    client.edit_keys(commit.repo, commit.id, put={QUARANTINED: reason})


def is_quarantined(commit: Commit) -> bool:
    """Return whether files of a commit must not be carried over or reused."""
    return QUARANTINED in commit.metadata
