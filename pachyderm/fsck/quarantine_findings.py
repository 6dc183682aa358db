"""Problems of good commits that are repaired by quarantining the commit."""

from __future__ import annotations

from pachyderm.client.commits import Commit
from pachyderm.client.connection import Connection
from pachyderm.fsck.problem import Problem, Repair
from pachyderm.record.quarantine import quarantine

FRESH_RESULTS = (
    "the commit stays as it is; `pix2pix run PIPELINE --commit-set new` makes fresh results for the newest inputs"
)


def quarantine_finding(commit: Commit, code: str, what: str, path: str = "") -> Problem:
    """Return the problem `code` of a commit, or of a file in it; its repair quarantines the commit."""
    repair = f"quarantines it: nothing is copied from it any more; {FRESH_RESULTS}"
    return Problem(code, f"{commit}:{path}" if path else str(commit), what, repair, _quarantine(commit, code, what))


def _quarantine(commit: Commit, code: str, what: str) -> Repair:
    def repair(client: Connection) -> str:
        quarantine(client, commit, f"{code}: {what}")
        return f"{commit} is quarantined: nothing is copied from it any more"

    return repair
