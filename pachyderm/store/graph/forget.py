"""Forgetting a commit: its data is given up, its place in the history stays."""

from __future__ import annotations

from typing import Any

from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph.update import GraphUpdate
from pachyderm.store.graph.views import FORGOTTEN, NOTHING, rests_on_forgotten
from pachyderm.store.refusals import Refusal


def forget(work: GraphUpdate, picker: Any) -> None:
    """Serve ForgetCommit.

    Raises:
        Refusal: NOT_FOUND; the commit or a child of it is not finished; it has no provenance; a branch shows its files.
    """
    connection = work.connection
    row = rows.pick_with_picker(connection, picker)
    name = rows.commit_name(connection, row)
    if any(child.finished is None for child in rows.children(connection, row.id)):
        raise Refusal("Forget Commit: direct descendants must be closed")
    if not rows.direct_provenance(connection, row.id):
        raise Refusal("Forget Commit: the commit to be forgotten must be in an output repo")
    if row.finished is None:
        raise Refusal(f"Forget Commit: commit {name} not finished; clear it instead")
    connection.execute('DELETE FROM layers WHERE "commit"=?', (row.id,))
    # A commit that ended with an error then shows what the commit that it started from shows.
    applied = NOTHING if row.error else FORGOTTEN
    connection.execute(
        "UPDATE commits SET tree=NULL, applied=?, fault='', updated=? WHERE id=?", (applied, work.now, row.id)
    )
    for branch in rows.branches(connection, "WHERE repo=?", (row.repo,)):
        check_head(connection, rows.commit_by_id(connection, branch.head), "Forget Commit: ")


def check_head(connection: SqlConnection, row: CommitRow, prefix: str = "") -> None:
    """Check that a commit can be the head of a branch: the next commit starts from its files.

    Raises:
        Refusal: its files are forgotten.
    """
    if rests_on_forgotten(connection, row):
        raise Refusal(
            f"{prefix}list branch in transaction: for each branch: the branch head cannot be a forgotten commit"
        )
