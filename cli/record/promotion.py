"""The subcommands `promote` and `rollback`: which model is in use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from cli.console import emit, shorten
from cli.options import Session, with_session

if TYPE_CHECKING:
    from pachyderm.client.connection import Connection


@click.command()
@click.argument("commit", required=False)
@with_session
def promote(session: Session, commit: str | None) -> None:
    """Put the model COMMIT into use: move model@master to it.

    Without COMMIT, the newest candidate is promoted. Pictures are generated anew with the model in use.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.promotion import promote as move
    from pachyderm.dag.setup import check_set_up

    with connect(session.target()) as client:
        check_set_up(client)
        result = move(client, _model_id(client, commit), time.time())
    _emit(session, result.before, result.after)


@click.command()
@click.argument("commit", required=False)
@with_session
def rollback(session: Session, commit: str | None) -> None:
    """Return to the model COMMIT: move model@master back to it.

    Without COMMIT, each call goes back to the model that was promoted before the one in use.
    """
    from pachyderm.client.connection import connect
    from pachyderm.dag.promotion import rollback as move
    from pachyderm.dag.setup import check_set_up

    with connect(session.target()) as client:
        check_set_up(client)
        result = move(client, _model_id(client, commit), time.time())
    _emit(session, result.before, result.after)


def _emit(session: Session, before: str | None, after: str) -> None:
    from pachyderm.dag.repos import MODEL

    text = f"{MODEL} is {after}" + (" already" if before == after else f", was {before}")
    emit(session, {"from": before, "to": after}, shorten(session, text))


def _model_id(client: Connection, commit: str | None) -> str | None:
    from pachyderm.dag.references import resolve
    from pachyderm.dag.repos import MODEL

    if commit is None:
        return None
    return resolve(client, MODEL.repo, commit.removeprefix(f"{MODEL.repo}@")).id
