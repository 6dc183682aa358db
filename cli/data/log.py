"""The subcommand `log`: the commits of a repo."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cli.console import age, emit, moment, print_message, shorten, table
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection
    from pachyderm.record.record_cache import RecordCache

COLUMNS = ("commit", "age", "state", "outcome", "files", "origin", "message")

NEWEST = 20
"""Commits that people see by default; scripts get all."""


@click.command()
@click.argument("repo")
@click.option(
    "-n",
    "--number",
    metavar="N",
    type=click.IntRange(min=0),
    help=f"List the newest N commits; 0 means all.  [default: {NEWEST}; all with --json]",
)
@with_session
def log(session: Session, repo: str, number: int | None) -> None:
    """List the commits of REPO, newest first.

    OUTCOME is how a stage filled an output commit: computed, reused (copied from an earlier commit) or empty. FILES is
    the number of files in the commit, without a stage's report. ORIGIN is user, or auto for a commit that Pachyderm
    opened because an input moved. With --json, files are counted if -n is given.
    """
    from pachyderm.client.commits import all_commits
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import existing_repo
    from pachyderm.dag.repos import PROVENANCE
    from pachyderm.record.record_cache import RecordCache

    most = (0 if session.json else NEWEST) if number is None else number
    with connect(session.target()) as client:
        # One more than are shown reveals whether there are more.
        commits = list(all_commits(client, existing_repo(client, repo), most and most + 1))
        more, commits = bool(most) and len(commits) > most, commits[: most or None]
        # Only a stage writes a record; reading none saves a request per commit of an input.
        archive = RecordCache(client) if repo in {branch.repo for branch in PROVENANCE} else None
        counts = _counts(client, commits, archive) if number is not None or not session.json else {}
        rows = [_row(commit, archive, counts.get(commit.id)) for commit in commits]
    columns = (*COLUMNS, *(name for name in ("decided", "error") if any(row[name] for row in rows)))
    if session.verbosity > 0:
        columns = (*columns, "started")
    emit(session, rows, table(columns, _shown(session, rows)) if rows else f"{repo} has no commits")
    if more:
        print_message(session, f"older commits are not listed; pix2pix log {repo} -n 0 lists all")


def _counts(client: Connection, commits: Sequence[Commit], archive: RecordCache | None) -> dict[str, int]:
    """Count the files of commits: from their records, else from their listings, or from what changed to a child."""
    from pachyderm.client.files import content, count_of_change, files

    counts: dict[str, int] = {}
    child: Commit | None = None
    for commit in commits:
        record = archive.record(commit) if archive is not None else None
        try:
            if record is not None:
                counts[commit.id] = len(record.files)
            elif child is not None and child.parent == commit.id:
                counts[commit.id] = counts[child.id] - count_of_change(client, commit.repo, child.id, commit.id)
            elif commit.ended:
                counts[commit.id] = len(content(files(client, commit.repo, commit.id)))
        except RequestError:
            continue  # an open commit without a finished parent has no listing
        child = commit if commit.id in counts and archive is None else None
    return counts


def _row(commit: Commit, archive: RecordCache | None, files: int | None) -> dict[str, Any]:
    from pachyderm.dag.review import decided

    record = archive.record(commit) if archive is not None else None
    return {
        "commit": commit.id,
        "parent": commit.parent,
        "state": commit.state,
        "started": moment(commit.started),
        "finished": moment(commit.finished),
        "outcome": record.outcome if record is not None else None,
        "files": files,
        "message": commit.description or commit.metadata.get("message", ""),
        "decided": decided(commit),
        "error": commit.error,
        "origin": "auto" if commit.auto else "user",
        "metadata": dict(commit.metadata),
    }


def _shown(session: Session, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Format rows for people."""
    now = time.time()
    return [
        {
            **row,
            "commit": shorten(session, row["commit"]),
            "error": shorten(session, row["error"]),
            "age": age(row["started"], now),
        }
        for row in rows
    ]
