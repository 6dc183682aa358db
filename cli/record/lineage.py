"""The subcommand `lineage`: from any result back to what made it, from any input forward to what it made.

It exists because the record is worth what a person can read out of it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.console import emit, progress, say
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection
    from pachyderm.record.lineage_graph import Graph

LARGEST = 256 * 1024
"""Bytes above which a picture is left out of the page."""


@click.command()
@click.argument("target", metavar="REPO@COMMIT[:PATH]|FILE.png")
@click.option("--forward", "ahead", is_flag=True, help="From an input to everything that was made with it.")
@click.option(
    "--kubeflow", metavar="URL", envvar="KF_PIPELINES_UI_ENDPOINT", help="Kubeflow's page, for links to runs."
)
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with pictures.")
@click.option("--openlineage", "as_events", is_flag=True, help="OpenLineage events, one JSON document a line.")
@with_session
def lineage(
    session: Session, target: str, ahead: bool, kubeflow: str | None, page: Path | None, as_events: bool
) -> None:
    """Walk back from a commit, a file of one, or a picture on disk, to data, code, parameters and run."""
    from cli.record.lineage_text import tree
    from pachyderm.client.connection import connect
    from pachyderm.record.lineage_backward import backward
    from pachyderm.record.lineage_forward import forward

    with connect(session.target()) as client:
        commit, path = _find(session, client, target)
        if ahead:
            with progress(session, "lineage") as show:
                graph = forward(client, commit, path, kubeflow, show)
        else:
            graph = backward(client, commit, path, kubeflow)
        if page is not None:
            from cli.record.lineage_page import PICTURES, write_page

            write_page(page, graph, _pictures(client, graph, PICTURES))
    for problem in graph.problems():
        say(session, problem)
    if not as_events:
        emit(session, graph.document(), tree(graph, ahead))
        return
    from pachyderm.record.openlineage import events

    told = events(graph, f"{session.pachd or 'pix2pix'}/{session.target().project}")
    emit(session, told, "\n".join(json.dumps(event) for event in told))


def _pictures(client: Connection, graph: Graph, most: int) -> dict[str, bytes]:
    """The pictures of a graph's files, small ones only."""
    from pachyderm.client.files import read

    found: dict[str, bytes] = {}
    for node in graph.nodes.values():
        facts = node.facts
        if node.kind != "file" or len(found) >= most or facts.get("bytes", LARGEST + 1) > LARGEST:
            continue
        content = read(client, facts["repo"], facts["commit"], facts["path"]) or b""
        if content.startswith((b"\x89PNG\r\n", b"\xff\xd8")):
            found[node.id] = content
    return found


def _find(session: Session, client: Connection, target: str) -> tuple[Commit, str | None]:
    """The commit and the path that `target` names."""
    from pachyderm.dag.references import resolve, resolve_any, split

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
    from pachyderm.record.picture_search import EmbeddedOrigin, search
    from pix2pix.images.png.text import FINGERPRINT, INPUT, read_text

    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    text = read_text(file)
    found = search(client, digest, EmbeddedOrigin(text.get(FINGERPRINT, ""), text.get(INPUT, "")), str(file))
    if not found.exact:
        say(session, f"{file} was changed since it was made; its own text leads to {found.commit}:{found.path}")
    return found.commit, found.path
