"""The subcommand `setup`: create the repos, branches and provenance."""

from __future__ import annotations

import dataclasses

import click

from cli.console import emit
from cli.options import Session, with_session


@click.command()
@with_session
def setup(session: Session) -> None:
    """Create the six repos, their branches and provenance.

    What exists already is left unchanged.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.setup import set_up

    with connect(session.target(create=True)) as client:
        result = set_up(client)
    text = f"created {', '.join(result.created)}" if result.created else "nothing to do: everything exists already"
    emit(session, {key: list(value) for key, value in dataclasses.asdict(result).items()}, text)
