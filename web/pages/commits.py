"""A commit: its files, its record, its lineage, and what changed since the one before."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, content, files, read
from pachyderm.dag.references import existing_repo, resolve
from pachyderm.dag.repos import REPOS
from pachyderm.dag.short_ids import short_ids
from pachyderm.errors import RequestError
from pachyderm.record.commit_diff import changed_files
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_graph import Graph
from pachyderm.record.record_cache import RecordCache
from web.context import WebContext

SHOWN = 500
"""Files and changes on the page of a commit at most."""

PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
"""Extension -> type of the files that a browser may show; everything else is downloaded."""

HIDDEN = {"metadata", "files", "parts"}
"""Facts of a lineage's node that are too long for the page."""

SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""Policy of the reports of stages: their HTML is data of the repos, and must not act as this site."""


@dataclass(frozen=True)
class LineageStep:
    """A node of a lineage.

    Attributes:
        anchor: id of the element.
        name: the node's id, with commit ids of 12 digits.
        kind: ``commit``, ``file`` or ``run``.
        facts: what is recorded about it.
        sources: (relation, anchor, name) of each source.
    """

    anchor: str
    name: str
    kind: str
    facts: Mapping[str, Any]
    sources: tuple[tuple[str, str, str], ...]


class Commits:
    """The page of a commit, and the files in it.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/commits/{repo}/{commit}", self.page),
            Route("/files/{repo}/{commit}/{path:path}", self.file),
        ]

    def page(self, request: Request) -> Response:
        """Render a commit."""
        with self._context.backend.client() as client:
            commit = _commit(client, request)
            listing = _listing(client, commit)
            parent = inspect(client, commit.repo, commit.parent) if commit.parent else None
            before = _listing(client, parent) if parent is not None else {}
            cache = RecordCache(client)
            values: dict[str, Any] = {
                "commit": commit,
                "error": short_ids(commit.error),
                "files": list(listing.items())[:SHOWN],
                "count": len(listing),
                "changes": changed_files(content(before), content(listing))[:SHOWN],
                "record": cache.record(commit),
                "problem": cache.problem(commit),
                "steps": lineage_steps(backward(client, commit)) if commit.ended else [],
                "link": file_link,
                "shown": SHOWN,
            }
        return self._context.page(request, "commit.html", **values)

    def file(self, request: Request) -> Response:
        """Serve a file; pictures and reports are shown, everything else is downloaded."""
        path = "/" + request.path_params["path"]
        with self._context.backend.client() as client:
            commit = _commit(client, request)
            data = read(client, commit.repo, commit.id, path) if commit.ended else None
        if data is None:
            raise HTTPException(404, f"{commit}:{path} does not exist")
        # A finished commit never changes, so a browser may keep what it holds.
        headers = {"cache-control": "private, max-age=31536000, immutable"}
        kind = PICTURES.get(posixpath.splitext(path)[1].lower())
        if path == "/_report/report.html":
            return Response(data, media_type="text/html", headers={**headers, "content-security-policy": SANDBOX})
        if kind is None:
            name = quote(posixpath.basename(path))
            headers["content-disposition"] = f"attachment; filename*=UTF-8''{name}"
        return Response(data, media_type=kind or "application/octet-stream", headers=headers)


def file_link(repo: str, commit_id: str, path: str) -> str:
    """Return the address of a file."""
    return f"/files/{repo}/{commit_id}{quote(path)}"


def lineage_steps(graph: Graph) -> list[LineageStep]:
    """Return the nodes of a lineage in the order in which they were found, from the result back to its data."""
    anchors = {name: f"n{number}" for number, name in enumerate(graph.nodes)}
    return [
        LineageStep(
            anchors[node.id],
            short_ids(node.id),
            node.kind,
            {
                name: value
                for name, value in node.facts.items()
                if name not in HIDDEN and value not in (None, "", {}, [])
            },
            tuple((edge.relation, anchors[edge.source], short_ids(edge.source)) for edge in graph.sources(node.id)),
        )
        for node in graph.nodes.values()
    ]


def _listing(client: Connection, commit: Commit) -> Mapping[str, FileEntry]:
    """Return the files of a commit; none if they cannot be read yet."""
    if not commit.ended:
        return {}
    try:
        return files(client, commit.repo, commit.id)
    except RequestError:  # it failed while the commit that it is based on is still open
        return {}


def _commit(client: Connection, request: Request) -> Commit:
    """Return the commit that the path names.

    Raises:
        HTTPException: 404, the repo is not one of the workflow's.
    """
    repo, commit = request.path_params["repo"], request.path_params["commit"]
    if repo not in REPOS:
        raise HTTPException(404, f"the repo {repo} is not part of the workflow; its repos are {', '.join(REPOS)}")
    return resolve(client, existing_repo(client, repo), commit)
