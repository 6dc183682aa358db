"""The subcommand `lineage`: from any result back to what made it, from any input forward to what it made.

It exists because the record is worth what a person can read out of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.console import emit, progress, say
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from pachyderm.commits import Commit
    from pachyderm.connection import Connection


@click.command()
@click.argument("target", metavar="REPO@COMMIT[:PATH]|FILE.png")
@click.option("--forward", "ahead", is_flag=True, help="From an input to everything that was made with it.")
@click.option("--kubeflow", metavar="URL", envvar="PIX2PIX_KUBEFLOW_UI", help="Kubeflow's page, for links to runs.")
@with_session
def lineage(session: Session, target: str, ahead: bool, kubeflow: str | None) -> None:
    """Walk back from a commit, a file of one, or a picture on disk, to data, code, parameters and run."""
    from cli.lineage_text import tree
    from pachyderm.connection import connect
    from pachyderm.lineage import backward
    from pachyderm.lineage_forward import forward

    with connect(session.target()) as client:
        commit, path = _find(session, client, target)
        if ahead:
            with progress(session, "lineage") as show:
                graph = forward(client, commit, path, kubeflow, show)
        else:
            graph = backward(client, commit, path, kubeflow)
    for problem in graph.problems():
        say(session, problem)
    emit(session, graph.document(), tree(graph, ahead))


def _find(session: Session, client: Connection, target: str) -> tuple[Commit, str | None]:
    """The commit and the path that `target` names."""
    from pachyderm.references import resolve, resolve_any, split

    file = Path(target)
    if file.is_file():
        return _of_picture(session, client, file)
    if "@" not in target:
        if file.suffix or "/" in target:
            raise RequestError(f"{target} is no file here, and no REPO@COMMIT[:PATH] either")
        return resolve_any(client, target), None
    repo, name, path = split(target)
    return resolve(client, repo, name), None if path == "/" else path


def _of_picture(session: Session, client: Connection, file: Path) -> tuple[Commit, str]:
    """Find a picture on disk in the store."""
    from pachyderm.picture_search import Claimed, search

    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    found = search(client, digest, Claimed(), str(file))
    if not found.exact:
        say(session, f"{file} was changed since it was made; its own text leads to {found.commit}:{found.path}")
    return found.commit, found.path
