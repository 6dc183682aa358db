"""The subcommand `setup`.

It exists because nothing else works before the repos, branches and provenance are there.
"""

from __future__ import annotations

import dataclasses

import click

from cli.console import emit
from cli.options import Session, with_session


@click.command()
@with_session
def setup(session: Session) -> None:
    """Make the six repos, their branches and provenance; a second call changes nothing."""
    from pachyderm.client.connection import connect
    from pachyderm.dag.setup import set_up

    with connect(session.target()) as client:
        done = set_up(client)
    text = f"made {', '.join(done.created)}" if done.created else "everything is there already"
    emit(session, {key: list(value) for key, value in dataclasses.asdict(done).items()}, text)
