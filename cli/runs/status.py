"""The subcommand `status`: the head of each repo, and what open commits wait for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import click

from cli.console import emit, moment, shorten, table
from cli.options import Session, with_session


@click.command()
@with_session
def status(session: Session) -> None:
    """Show the head of each repo, and what each open commit waits for."""
    from pachyderm.client.commits import head
    from pachyderm.client.connection import connect
    from pachyderm.dag.repos import GENERATE_IMAGES, INPUTS, MODEL, PROVENANCE
    from pachyderm.dag.setup import check_set_up
    from pachyderm.queue.blockers import waiting
    from pachyderm.record.record_cache import RecordCache

    with connect(session.target()) as client:
        check_set_up(client)
        branches = (*INPUTS, *PROVENANCE, MODEL)
        heads = [head(client, branch) for branch in branches]
        blockers = waiting(client, time.time())
        record = RecordCache(client).record(head(client, GENERATE_IMAGES))
    warnings = list(record.warnings) if record else []
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
        {
            "commit_set": blocker.commit.id,
            "pipeline": blocker.pipeline,
            "commit": str(blocker.commit),
            "for": blocker.reason,
        }
        for blocker in blockers
    ]
    text = "\n\n".join((_text(session, repos, rows), *(f"warning: {warning}" for warning in warnings)))
    emit(session, {"repos": repos, "waiting": rows, "warnings": warnings}, text)


def _text(session: Session, repos: Sequence[dict[str, Any]], waiting: Sequence[dict[str, Any]]) -> str:
    heads = [{**repo, "head": shorten(session, repo["head"])} for repo in repos]
    text = table(("repo", "branch", "head", "state", "error"), heads)
    if not waiting:
        return text
    rows = [
        {
            "commit": shorten(session, row["commit"]),
            "pipeline": row["pipeline"],
            "waits_for": shorten(session, row["for"]),
        }
        for row in waiting
    ]
    return text + "\n\n" + table(("commit", "pipeline", "waits_for"), rows)
