"""ForgetCommit: the files of a commit are discarded, the commit stays in the history."""

from __future__ import annotations

from typing import Any

from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph.graph_update import GraphUpdate
from pachyderm.store.graph.materialize import FORGOTTEN, NOTHING, rests_on_forgotten
from pachyderm.store.status_errors import StatusError


def forget(update: GraphUpdate, picker: Any) -> None:
    """Serve ForgetCommit.

    Raises:
        StatusError: NOT_FOUND; the commit or one of its children is unfinished; the commit has no provenance; a
            branch's head shows its files.
    """
    connection = update.connection
    row = resolve.commit_of_picker(connection, picker)
    name = rows.commit_name(connection, row)
    if any(child.finished is None for child in rows.children(connection, row.id)):
        raise StatusError("Forget Commit: direct descendants must be closed")
    if not rows.direct_provenance(connection, row.id):
        raise StatusError("Forget Commit: the commit to be forgotten must be in an output repo")
    if row.finished is None:
        raise StatusError(f"Forget Commit: commit {name} not finished; clear it instead")
    connection.execute('DELETE FROM layers WHERE "commit"=?', (row.id,))
    # A failed commit shows the files of its base once its own writes are gone; it does not become "forgotten".
    applied = NOTHING if row.error else FORGOTTEN
    connection.execute(
        "UPDATE commits SET tree=NULL, applied=?, fault='', updated=? WHERE id=?", (applied, update.now, row.id)
    )
    for branch in rows.branches(connection, "WHERE repo=?", (row.repo,)):
        check_head(connection, rows.commit_by_id(connection, branch.head), "Forget Commit: ")


def check_head(connection: SqlConnection, row: CommitRow, prefix: str = "") -> None:
    """Check that a commit can be the head of a branch, since the next commit starts from its files.

    Raises:
        StatusError: the files are forgotten.
    """
    if rests_on_forgotten(connection, row):
        raise StatusError(
            f"{prefix}list branch in transaction: for each branch: the branch head cannot be a forgotten commit"
        )
