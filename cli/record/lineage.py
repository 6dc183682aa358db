"""The subcommand `lineage`: from a result back to its sources, or from an input forward."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.console import emit, print_message, progress, shorten
from cli.options import Session, with_session
from pachyderm.errors import RequestError

if TYPE_CHECKING:
    from pachyderm.client.commits import Commit
    from pachyderm.client.connection import Connection
    from pachyderm.record.lineage_graph import Graph

LARGEST = 256 * 1024
"""Bytes of the largest picture shown on the page."""

PAIRS = 6
"""Training pairs shown of a commit."""

MAGIC = (b"\x89PNG\r\n", b"\xff\xd8")
"""First bytes of the pictures that a browser shows: PNG and JPEG."""


@click.command()
@click.argument("target", metavar="REPO@COMMIT[:PATH]|FILE.png")
@click.option("--forward", "ahead", is_flag=True, help="Trace an input to everything made from it.")
@click.option(
    "--kubeflow",
    metavar="URL",
    envvar="KF_PIPELINES_UI_ENDPOINT",
    help="Address of the Kubeflow UI, for links to runs.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write a page with thumbnails.",
)
@click.option("--openlineage", "as_events", is_flag=True, help="Print OpenLineage events, one JSON document per line.")
@with_session
def lineage(
    session: Session, target: str, ahead: bool, kubeflow: str | None, page: Path | None, as_events: bool
) -> None:
    """Trace a commit, a file in a commit, or a generated picture on disk, back to its data, code, parameters and run.

    With --forward, trace an input to everything made from it.
    """
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
            from cli.record.run_links import run_exists, with_live_links

            graph = with_live_links(graph, run_exists)
            write_page(page, graph, _pictures(client, graph, PICTURES), _pairs(client, graph))
    for problem in graph.problems():
        print_message(session, problem)
    if not as_events:
        emit(session, graph.document(), shorten(session, tree(graph, ahead)))
        return
    from pachyderm.record.openlineage import events

    documents = events(graph, f"{session.pachd or 'pix2pix'}/{session.target().project}")
    emit(session, documents, "\n".join(json.dumps(document) for document in documents))


def _pairs(client: Connection, graph: Graph) -> dict[str, list[bytes]]:
    """Read a few small training pairs of each commit of `training`: node id -> PNGs or JPEGs."""
    from pachyderm.client.files import files, read
    from pachyderm.dag.repos import TRAINING

    pairs: dict[str, list[bytes]] = {}
    for node in graph.nodes.values():
        if node.kind != "commit" or node.facts["repo"] != TRAINING.repo or "problem" in node.facts:
            continue
        listing = files(client, TRAINING.repo, node.facts["commit"])
        small = [path for path, entry in listing.items() if entry.bytes <= LARGEST]
        contents = (read(client, TRAINING.repo, node.facts["commit"], path) or b"" for path in small)
        pairs[node.id] = list(islice((content for content in contents if content.startswith(MAGIC)), PAIRS))
    return pairs


def _pictures(client: Connection, graph: Graph, most: int) -> dict[str, bytes]:
    """Read the small pictures among the files of a graph: node id -> PNG or JPEG."""
    from pachyderm.client.files import read

    pictures: dict[str, bytes] = {}
    for node in graph.nodes.values():
        facts = node.facts
        if node.kind != "file" or len(pictures) >= most or facts.get("bytes", LARGEST + 1) > LARGEST:
            continue
        content = read(client, facts["repo"], facts["commit"], facts["path"]) or b""
        if content.startswith(MAGIC):
            pictures[node.id] = content
    return pictures


def _find(session: Session, client: Connection, target: str) -> tuple[Commit, str | None]:
    """Find the commit and the path that `target` names."""
    from pachyderm.dag.references import resolve, resolve_any, split

    file = Path(target)
    if file.is_file():
        return _of_picture(session, client, file)
    if "@" not in target:
        if file.suffix or "/" in target:
            raise RequestError(f"{target} is neither a file on this machine nor REPO@COMMIT[:PATH]")
        return resolve_any(client, target), None
    repo, name, path = split(target)
    return resolve(client, repo, name), None if path == "/" else path


def _of_picture(session: Session, client: Connection, file: Path) -> tuple[Commit, str]:
    """Find the commit and the path of a generated picture on disk, by its bytes or by its metadata."""
    from pachyderm.record.picture_search import EmbeddedOrigin, search
    from pix2pix.images.png.text import FINGERPRINT, INPUT, read_text

    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    text = read_text(file)
    found = search(client, digest, EmbeddedOrigin(text.get(FINGERPRINT, ""), text.get(INPUT, "")), str(file))
    if not found.exact:
        print_message(
            session, f"{file} has changed since it was generated; its metadata leads to {found.commit}:{found.path}"
        )
    return found.commit, found.path
