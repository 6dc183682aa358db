"""A problem that a check found: what is wrong, where, and the way out.

It exists so that every check says the same four things, and a repair is a value that can be carried out or only told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection

Mend = Callable[[Connection], str]
"""Repairs one problem, and says what it did. Only what loses nothing and can be done twice is a repair."""


@dataclass(frozen=True)
class Problem:
    """One finding.

    Attributes:
        code: one of the codes in `docs/record.md`; scripts may rely on it.
        where: a commit (``repo@id``), a file of one, a branch or a repo.
        what: what is wrong, with the values that disagree.
        repair: what to do, or what ``--repair`` does.
        mend: carries the repair out; None where a person must decide.
    """

    code: str
    where: str
    what: str
    repair: str
    mend: Mend | None = field(default=None, compare=False, repr=False)

    def document(self) -> dict[str, str]:
        """The problem for JSON."""
        return {"code": self.code, "where": self.where, "what": self.what, "repair": self.repair}


def unreadable(commit: Commit, error: Exception) -> Problem:
    """The problem of a commit that the server cannot read any more, as pachd after a late writer (seen)."""
    advice = f"drop it: pachctl delete commit {commit}, then run the newest inputs again with --commit-set new"
    return Problem("UNREADABLE", str(commit), f"the server cannot read it: {error}", advice)
