"""The subcommand `log`: the commits of a repo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from cli.console import emit, moment, shorten, table
from cli.options import Session, with_session

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.record.record_cache import RecordCache

COLUMNS = ("commit", "started", "state", "outcome", "origin", "message")


@click.command()
@click.argument("repo")
@click.option("-n", "--number", metavar="N", default=0, help="List only the newest N commits.  [default: all]")
@with_session
def log(session: Session, repo: str, number: int) -> None:
    """List the commits of REPO, newest first.

    OUTCOME is how a stage filled an output commit: computed, reused (copied from an earlier commit) or empty. ORIGIN
    is user, or auto for a commit that Pachyderm opened because an input moved.
    """
    from pachyderm.client.commits import all_commits
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import existing_repo
    from pachyderm.dag.repos import PROVENANCE
    from pachyderm.record.record_cache import RecordCache

    with connect(session.target()) as client:
        commits = list(all_commits(client, existing_repo(client, repo), number))
        # Only a stage writes a record; reading none saves a request per commit of an input.
        archive = RecordCache(client) if repo in {branch.repo for branch in PROVENANCE} else None
        rows = [_row(commit, archive) for commit in commits]
    shown = [{**row, "commit": shorten(session, row["commit"])} for row in rows]
    columns = (*COLUMNS, "error") if any(row["error"] for row in rows) else COLUMNS
    emit(session, rows, table(columns, shown) if rows else f"{repo} has no commits")


def _row(commit: Commit, archive: RecordCache | None) -> dict[str, Any]:
    record = archive.record(commit) if archive is not None else None
    return {
        "commit": commit.id,
        "parent": commit.parent,
        "state": commit.state,
        "started": moment(commit.started),
        "finished": moment(commit.finished),
        "outcome": record.outcome if record is not None else None,
        "message": commit.description or commit.metadata.get("message", ""),
        "error": commit.error,
        "origin": "auto" if commit.auto else "user",
        "metadata": dict(commit.metadata),
    }
