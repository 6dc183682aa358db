"""The subcommand `retry`: runs a commit set again.

It exists because a failure's message must be able to name one command that goes on from there.
"""

from __future__ import annotations

import dataclasses
import time

import click

from cli.console import emit
from cli.options import Session, with_session


@click.command()
@click.argument("commit_set", metavar="SET")
@with_session
def retry(session: Session, commit_set: str) -> None:
    """Run the open SET again at once; else open fresh output commits for the newest inputs."""
    from cli.runs.trigger import identity
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve_any
    from pachyderm.dag.setup import check_set_up
    from pachyderm.queue.retry import retry as run_again

    with connect(session.target()) as client:
        check_set_up(client)
        done = run_again(client, resolve_any(client, commit_set).id, f"retry on {identity()}", time.time())
    what = "fresh output commits are open" if done.fresh else "it is tried again"
    text = f"{done.commit_set}: {what} ({', '.join(done.pipelines)}); `pix2pix trigger` runs them"
    emit(session, dataclasses.asdict(done), text)
