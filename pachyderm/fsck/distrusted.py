"""Problems of a good commit after which nothing that it holds may be copied any more; their repair is to mark it so.

It exists because the commit itself cannot be changed, and a person should not have to see to it that nobody trusts it.
"""

from __future__ import annotations

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.fsck.problem import Mend, Problem
from pachyderm.record.quarantine import mark

AFRESH = "the commit stays as it is; `pix2pix run PIPELINE --commit-set new` makes the newest inputs' results again"


def distrusted(commit: Commit, code: str, what: str, path: str = "") -> Problem:
    """The problem `code` of a commit, or of a file of it."""
    repair = f"marks it untrue: nothing is copied from it any more; {AFRESH}"
    return Problem(code, f"{commit}:{path}" if path else str(commit), what, repair, _mark(commit, code, what))


def _mark(commit: Commit, code: str, what: str) -> Mend:
    def mend(client: Connection) -> str:
        mark(client, commit, f"{code}: {what}")
        return f"{commit} is marked untrue: nothing is copied from it any more"

    return mend
