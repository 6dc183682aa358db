"""The commit that a `put` of local files would make."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pachyderm.client.branches import BranchName
from pachyderm.client.changes import PutChanges
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import expected
from pachyderm.client.files import PARAMETERS_FILE, FileEntry, content, read
from pachyderm.forecast.stage_forecast import ProposedCommit


def proposed(client: Connection, branch: BranchName, changes: PutChanges) -> ProposedCommit | None:
    """Return the commit that changes to a branch would make; None if they change nothing.

    A file above one chunk gets a hash that no commit has: it counts as new, also where an earlier commit holds it.

    Raises:
        OSError: a local file cannot be read.
    """
    if not changes:
        return None
    kept = {path: entry for path, entry in changes.present.items() if path not in changes.deleted}
    listing = kept | {path: _entry(local) for path, local in changes.put.items()}
    return ProposedCommit(branch, content(listing), _parameters(client, branch, changes))


def _entry(local: Path) -> FileEntry:
    want = expected(local)
    if want.hash is not None or not want.bytes:
        return FileEntry(want.bytes, want.hash or "")
    with local.open("rb") as stream:
        return FileEntry(want.bytes, f"unsent:{hashlib.file_digest(stream, 'sha256').hexdigest()}")


def _parameters(client: Connection, branch: BranchName, changes: PutChanges) -> bytes | None:
    put: Mapping[str, Path] = changes.put
    if PARAMETERS_FILE in put:
        return put[PARAMETERS_FILE].read_bytes()
    if changes.before is None or PARAMETERS_FILE in changes.deleted or PARAMETERS_FILE not in changes.present:
        return None
    return read(client, branch.repo, changes.before.id, PARAMETERS_FILE)
