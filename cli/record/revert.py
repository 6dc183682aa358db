"""The subcommand `revert`: go back to an earlier commit of an input.

It exists because going back is one command; the trigger does the rest, by copying.
"""

from __future__ import annotations

import click

from cli.console import emit
from cli.options import Session, with_session


@click.command()
@click.argument("repo")
@click.argument("commit")
@with_session
def revert(session: Session, repo: str, commit: str) -> None:
    """Move REPO's branch back to COMMIT; outputs that were made from it before are reused, not recomputed."""
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve
    from pachyderm.dag.revert import revert as move
    from pachyderm.dag.setup import check_set_up

    with connect(session.target()) as client:
        check_set_up(client)
        done = move(client, resolve(client, repo, commit.removeprefix(f"{repo}@")))
    document = {"from": done.before, "to": done.after, "commit_set": done.commit_set}
    what = f"{repo}@master is {done.after}" + (f", was {done.before}" if done.commit_set else " already")
    emit(session, document, what)
