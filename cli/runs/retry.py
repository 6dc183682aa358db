"""The subcommand `retry`: run a commit set again."""

from __future__ import annotations

import dataclasses
import time

import click

from cli.console import emit, shorten
from cli.options import Session, with_session


@click.command()
@click.argument("commit_set", metavar="SET")
@with_session
def retry(session: Session, commit_set: str) -> None:
    """Run the commit set SET again.

    If SET has open commits, its failed attempts are set aside and the trigger starts a run at once. Otherwise new
    output commits are opened for the newest inputs. SET is the id of a commit set, or any commit in it.
    """
    from cli.runs.trigger import identity
    from pachyderm.client.connection import connect
    from pachyderm.dag.references import resolve_any
    from pachyderm.dag.setup import check_set_up
    from pachyderm.queue.retry import retry as run_again

    with connect(session.target()) as client:
        check_set_up(client)
        result = run_again(client, resolve_any(client, commit_set).id, f"retry on {identity()}", time.time())
    opened = "new output commits are open" if result.fresh else "failed attempts are set aside"
    text = f"{result.commit_set}: {opened} for {', '.join(result.pipelines)}; `pix2pix trigger` runs them"
    emit(session, dataclasses.asdict(result), shorten(session, text))
