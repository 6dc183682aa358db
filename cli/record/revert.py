"""The subcommand `revert`: move an input back to an earlier commit."""

from __future__ import annotations

import click

from cli.console import emit, shorten
from cli.options import Session, with_session


@click.command()
@click.argument("repo")
@click.argument("commit")
@with_session
def revert(session: Session, repo: str, commit: str) -> None:
    """Move the branch master of the input REPO back to COMMIT.

    Outputs that were made from COMMIT before are reused, not recomputed.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve
    from pachyderm.dag.revert import revert as move
    from pachyderm.dag.setup import check_set_up

    with connect(session.target()) as client:
        check_set_up(client)
        result = move(client, resolve(client, repo, commit.removeprefix(f"{repo}@")))
    document = {"from": result.before, "to": result.after, "commit_set": result.commit_set}
    text = f"{repo}@master is {result.after}" + (f", was {result.before}" if result.commit_set else " already")
    emit(session, document, shorten(session, text))
