"""The subcommands `log` and `status`: what was committed, where each repo stands, what waits for what.

They exist because "why is there no picture yet?" must have an answer that a person can read.
"""

from __future__ import annotations

import time

import click

from cli.console import emit, moment, table
from cli.options import Session, with_session


@click.command()
@click.argument("repo")
@click.option("-n", "--number", default=0, help="Only the newest N commits.")
@with_session
def log(session: Session, repo: str, number: int) -> None:
    """List the commits of REPO, newest first."""
    from pachyderm.client.commits import all_commits
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import existing_repo

    with connect(session.target()) as client:
        commits = list(all_commits(client, existing_repo(client, repo), number))
    rows = [
        {
            "commit": commit.id,
            "parent": commit.parent,
            "state": commit.state,
            "started": moment(commit.started),
            "finished": moment(commit.finished),
            "error": commit.error,
            "origin": "auto" if commit.auto else "user",
            "metadata": dict(commit.metadata),
        }
        for commit in commits
    ]
    shown = [
        {**row, "error": row["error"] or commit.metadata.get("message")}
        for row, commit in zip(rows, commits, strict=True)
    ]
    emit(session, rows, table(("commit", "state", "started", "origin", "error"), shown))


@click.command()
@with_session
def status(session: Session) -> None:
    """Show each repo's head, what is open, and what that waits for."""
    from pachyderm.client.commits import head
    from pachyderm.client.connection import connect
    from pachyderm.dag.repos import INPUTS, MODEL, PROVENANCE
    from pachyderm.dag.setup import check_set_up
    from pachyderm.queue.blockers import waiting

    with connect(session.target()) as client:
        check_set_up(client)
        branches = (*INPUTS, *PROVENANCE, MODEL)
        heads = [head(client, branch) for branch in branches]
        still = waiting(client, time.time())
    repos = [
        {
            "repo": branch.repo,
            "branch": branch.branch,
            "head": commit.id,
            "state": commit.state,
            "error": commit.error,
            "started": moment(commit.started),
        }
        for branch, commit in zip(branches, heads, strict=True)
    ]
    rows = [
        {"commit_set": one.commit.id, "pipeline": one.pipeline, "commit": str(one.commit), "for": one.reason}
        for one in still
    ]
    text = table(("repo", "branch", "head", "state", "error"), repos)
    if rows:
        text += "\n\nwaiting\n" + table(("commit", "pipeline", "for"), rows)
    emit(session, {"repos": repos, "waiting": rows}, text)
