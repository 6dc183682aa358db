"""A commit: its files, its record, its lineage, and what changed since the one before."""

from __future__ import annotations

import posixpath
import re
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
from pachyderm.client.files import content, files, read
from pachyderm.dag.references import existing_repo, resolve
from pachyderm.dag.repos import REPOS
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


_ID = re.compile("[0-9a-f]{32}")


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
            listing = files(client, commit.repo, commit.id) if commit.ended else {}
            parent = inspect(client, commit.repo, commit.parent) if commit.parent else None
            before = files(client, commit.repo, parent.id) if parent is not None and parent.ended else {}
            cache = RecordCache(client)
            values: dict[str, Any] = {
                "commit": commit,
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
            _short(node.id),
            node.kind,
            {
                name: value
                for name, value in node.facts.items()
                if name not in HIDDEN and value not in (None, "", {}, [])
            },
            tuple((edge.relation, anchors[edge.source], _short(edge.source)) for edge in graph.sources(node.id)),
        )
        for node in graph.nodes.values()
    ]


def _short(name: str) -> str:
    return _ID.sub(lambda digits: digits[0][:12], name)


def _commit(client: Connection, request: Request) -> Commit:
    """Return the commit that the path names.

    Raises:
        HTTPException: 404, the repo is not one of the workflow's.
    """
    repo, commit = request.path_params["repo"], request.path_params["commit"]
    if repo not in REPOS:
        raise HTTPException(404, f"the repo {repo} is not part of the workflow; its repos are {', '.join(REPOS)}")
    return resolve(client, existing_repo(client, repo), commit)
