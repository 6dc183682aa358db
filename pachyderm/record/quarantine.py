"""Marks a good output commit whose files are not what its record says, so that nothing is copied from it any more.

It exists because a finished commit never changes: without a mark, the next commit would carry its files over, and equal
inputs would take them again, however often somebody asks for fresh results.
"""

from __future__ import annotations

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection

UNTRUE = "untrue"
"""Metadata key of a commit that is marked; its value says what was found."""


def mark(client: Connection, commit: Commit, found: str) -> None:
    """Mark a commit; doing it twice changes only what is said."""
    client.edit_keys(commit.repo, commit.id, put={UNTRUE: found})


def trusted(commit: Commit) -> bool:
    """Whether what a good output commit holds may be taken for what its record says."""
    return UNTRUE not in commit.metadata
