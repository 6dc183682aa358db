"""A problem found by a check: its code, place, description and remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection

Repair = Callable[[Connection], str]
"""Repairs one problem and returns what was done. A repair must lose nothing and must be idempotent."""


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        code: one of the codes in `docs/record.md`; scripts may rely on it.
        where: a commit (``repo@id``), a file in one, a branch or a repo.
        what: what is wrong, with the values that disagree.
        repair: what to do, or what ``--repair`` does.
        automatic: carries the repair out; None if a person must decide.
    """

    code: str
    where: str
    what: str
    repair: str
    automatic: Repair | None = field(default=None, compare=False, repr=False)

    def document(self) -> dict[str, str]:
        """Return the problem for JSON."""
        return {"code": self.code, "where": self.where, "what": self.what, "repair": self.repair}


def unreadable(commit: Commit, error: Exception) -> Problem:
    """Return the problem of a commit that the server cannot read.

    Seen on pachd 2.12 after a writer whose last request arrived when the commit was being finished.
    """
    advice = f"drop it: pachctl delete commit {commit}, then run the newest inputs again with --commit-set new"
    return Problem("UNREADABLE", str(commit), f"the server cannot read it: {error}", advice)
