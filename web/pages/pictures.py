"""The generated pictures: a grid with search and paging, and one picture with everything that it was made from."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pachyderm.client.commits import head
from pachyderm.client.connection import Connection
from pachyderm.client.files import content, files
from pachyderm.dag.references import resolve
from pachyderm.dag.repos import GENERATE_IMAGES, INPUT_IMAGES, PREPROCESS_IMAGES
from pachyderm.record.lineage_backward import backward
from pachyderm.record.record_cache import RecordCache
from pachyderm.record.stage_record import Rejected, StageRecord
from web.context import WebContext
from web.pages.commits import SHOWN, file_link, lineage_steps

PER_PAGE = 60
KEPT_LISTINGS = 2


@dataclass(frozen=True)
class Tile:
    """A picture in the grid."""

    path: str
    link: str
    source: str


class Listings:
    """The paths of the newest commits that were looked at: listing 100,000 files takes a second.

    A finished commit never changes, so an entry never expires; the oldest goes.
    """

    def __init__(self) -> None:
        self._paths: OrderedDict[str, Sequence[str]] = OrderedDict()
        self._lock = threading.Lock()

    def paths(self, client: Connection, commit_id: str) -> Sequence[str]:
        """Return the paths of the pictures of a commit of `generate_images`, in byte order."""
        with self._lock:
            if commit_id not in self._paths:
                self._paths[commit_id] = list(content(files(client, GENERATE_IMAGES.repo, commit_id)))
                while len(self._paths) > KEPT_LISTINGS:
                    self._paths.popitem(last=False)
            return self._paths[commit_id]


class Pictures:
    """The grid and the page of one picture.

    Args:
        context: of the application.
    """

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._listings = Listings()

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/pictures", self.page),
            Route("/fragments/pictures", self.fragment),
            Route("/pictures/{commit}/{path:path}", self.picture),
        ]

    def page(self, request: Request) -> Response:
        """Render the grid's first page, and the inputs that were left out."""
        with self._context.backend.client() as client:
            values = self._values(client, request)
            rejected = _rejected(client, str(values["commit"]))
        return self._context.page(request, "pictures.html", rejected=rejected, shown=SHOWN, **values)

    def fragment(self, request: Request) -> Response:
        """Render a further page of the grid."""
        with self._context.backend.client() as client:
            values = self._values(client, request)
        return self._context.page(request, "pictures_fragment.html", **values)

    def picture(self, request: Request) -> Response:
        """Render one picture: input, prepared, output, and its lineage."""
        path = "/" + request.path_params["path"]
        with self._context.backend.client() as client:
            commit = resolve(client, GENERATE_IMAGES.repo, request.path_params["commit"])
            cache = RecordCache(client)
            record = cache.record(commit)
            if record is None or path not in record.files:
                raise HTTPException(404, f"{commit}:{path} does not exist")
            values = {
                "commit": commit,
                "path_shown": path,
                "record": record,
                "pictures": _pictures(cache, record, commit.id, path),
                "steps": lineage_steps(backward(client, commit, path)),
            }
        return self._context.page(request, "picture.html", **values)

    def _values(self, client: Connection, request: Request) -> Mapping[str, Any]:
        query = request.query_params.get("q", "")
        commit = request.query_params.get("commit") or _newest(client)
        page = int(number) if (number := request.query_params.get("page", "0")).isdecimal() and len(number) < 9 else 0
        paths = self._listings.paths(client, commit) if commit else []
        found = [path for path in paths if query.lower() in path.lower()] if query else paths
        tiles = [_tile(commit, path) for path in found[page * PER_PAGE : (page + 1) * PER_PAGE]]
        more = (page + 1) * PER_PAGE < len(found)
        return {"commit": commit, "query": query, "number": page, "tiles": tiles, "more": more, "count": len(found)}


def _newest(client: Connection) -> str:
    """Return the id of the newest good commit of `generate_images`, or of the head."""
    commit = head(client, GENERATE_IMAGES)
    while commit.state != "good" and commit.parent is not None:
        commit = resolve(client, GENERATE_IMAGES.repo, commit.parent)
    return commit.id if commit.state == "good" else ""


def _tile(commit_id: str, path: str) -> Tile:
    link = file_link(GENERATE_IMAGES.repo, commit_id, path)
    return Tile(path, f"/pictures/{link.removeprefix(f'/files/{GENERATE_IMAGES.repo}/')}", link)


def _rejected(client: Connection, commit_id: str) -> Sequence[Rejected]:
    """Return the inputs that were left out on the way to a commit of `generate_images`."""
    if not commit_id:
        return ()
    cache = RecordCache(client)
    record = cache.record(resolve(client, GENERATE_IMAGES.repo, commit_id))
    if record is None:
        return ()
    prepared = cache.input_record(record, PREPROCESS_IMAGES.repo)
    return (*(prepared.rejected if prepared else ()), *record.rejected)


def _pictures(cache: RecordCache, record: StageRecord, commit_id: str, path: str) -> list[tuple[str, str]]:
    """Return caption and address of the input, the prepared picture and the output."""
    shown = [("output", file_link(GENERATE_IMAGES.repo, commit_id, path))]
    output = record.files[path]
    source = {source.repo: source.commit for source in record.inputs}
    if output.source is None or PREPROCESS_IMAGES.repo not in source:
        return shown
    prepared_commit = source[PREPROCESS_IMAGES.repo]
    shown.insert(0, ("prepared", file_link(PREPROCESS_IMAGES.repo, prepared_commit, output.source)))
    prepared = cache.input_record(record, PREPROCESS_IMAGES.repo)
    origin = prepared.files.get(output.source) if prepared is not None else None
    if prepared is not None and origin is not None and origin.source is not None:
        inputs = {source.repo: source.commit for source in prepared.inputs}
        if INPUT_IMAGES.repo in inputs:
            shown.insert(0, ("input", file_link(INPUT_IMAGES.repo, inputs[INPUT_IMAGES.repo], origin.source)))
    return shown
