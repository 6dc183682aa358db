"""Streams of file changes: into an open commit, as a commit of their own, or into a file set.

It exists because a stream counts as a whole or not at all: nothing of it shows until the client has closed it cleanly
and its bytes are on the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc

from pachyderm.protocol.protobuf import parse
from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow
from pachyderm.store.files import filesets, paths, url_source
from pachyderm.store.files.file_reads import open_commit
from pachyderm.store.graph import commits
from pachyderm.store.graph.update import unit
from pachyderm.store.limits import LONGEST_REQUEST
from pachyderm.store.names import is_set_id, reference
from pachyderm.store.objects.changes import DATUM, Changes
from pachyderm.store.objects.contents import Builder, ContentWriter
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.trees import files_at, folder_at, mark_replaced, walk
from pachyderm.store.refusals import Refusal, commit_finished, invalid

SETTLE = 0.005
"""Seconds to wait behind the end of a stream: gRPC tells of a client that broke off and of one that closed by the same
event, and only a moment later which of the two it was."""


@dataclass(frozen=True)
class _Target:
    """Where a stream goes: an open commit, or a new one on a branch; `base` shows what it changes."""

    row: CommitRow | None
    branch: Any
    base: Any


def parse_request(data: bytes) -> Any:
    """Parse a `ModifyFileRequest`.

    Raises:
        ValueError: a request that adds no piece of a file is longer than `LONGEST_REQUEST`.
        google.protobuf.message.DecodeError: the bytes are no such message.
    """
    request = parse("ModifyFileRequest", data)
    if len(data) > LONGEST_REQUEST and request.WhichOneof("body") != "add_file":
        raise ValueError("the request is too long")
    return request


def modify(engine: Engine, requests: Iterator[Any], context: Any) -> None:
    """Serve a ModifyFile stream.

    Raises:
        Refusal: the commit is finished, at the beginning or at the end of the stream; a path is refused.
    """
    first = next(requests, None)
    if first is None or first.WhichOneof("body") != "set_commit":
        raise Refusal("the first message of the stream must set the commit")
    target = _target(engine, first.set_commit)
    with _stream(engine, requests, target.base, context) as stream, unit(engine) as work:
        stream.record(work.connection)
        if target.row is None:
            row = commits.start(work, target.branch)
        else:
            row = rows.commit_by_id(work.connection, target.row.id)
            if row.finishing is not None:
                raise commit_finished(rows.commit_name(work.connection, row))
        if stream.changes:
            filesets.attach(work, row, filesets.store(engine, work.connection, stream.parts(), life=0))
        if target.row is None:
            commits.finish(work, rows.commit_by_id(work.connection, row.id))
        stream.check_client()


def create_fileset(engine: Engine, requests: Iterator[Any], context: Any) -> str:
    """Serve a CreateFileSet stream; returns the file set's id."""
    with _stream(engine, requests, None, context) as stream, engine.database.writing() as connection:
        stream.record(connection)
        name = filesets.store(engine, connection, stream.parts())
        stream.check_client()
        return name


def _target(engine: Engine, message: Any) -> _Target:
    from pachyderm_sdk.api import pfs

    wanted = reference(message)
    by_branch = not is_set_id(wanted.base) and not wanted.root and not wanted.up
    branch = pfs.Branch(name=wanted.base, repo=pfs.Repo(**_repo(wanted.repo)))
    with engine.database.reading() as connection:
        rows.repo(connection, wanted.repo)
        if by_branch and rows.find_branch(connection, wanted.repo, wanted.base) is None:
            return _Target(None, branch, None)
        picked = rows.pick(connection, message)
        if picked.row.finishing is None:
            return _Target(rows.pick_for_writing(connection, message), None, message)
        if not by_branch:
            raise commit_finished(rows.commit_name(connection, picked.row))
    return _Target(None, branch, message)


def _repo(name: Any) -> dict[str, Any]:
    from pachyderm_sdk.api import pfs

    return {"name": name.name, "type": name.type, "project": pfs.Project(name=name.project)}


class _stream:  # noqa: N801 - a context manager that reads like a function
    """Reads a stream to its clean end and brings its bytes to the disk."""

    def __init__(self, engine: Engine, requests: Iterator[Any], base: Any, context: Any) -> None:
        self._engine = engine
        self._requests = requests
        self._base = base
        self._context = context
        self._recorded = False
        self._writer = ContentWriter(engine.database, engine.contents, engine.blocks)
        self._builder: Builder | None = None
        self._open: tuple[str, str] | None = None
        self._gone = threading.Event()
        if not context.add_callback(self._gone.set):
            self._gone.set()
        self.changes = Changes()

    def __enter__(self) -> _stream:
        try:
            for request in self._requests:
                self._take(request)
            self._close()
            self._gone.wait(SETTLE)
            self.check_client()
            self._writer.blocks.seal()
        except BaseException:
            self._writer.blocks.close(recorded=False)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Once the tables may name the bytes they stay, even if the transaction failed: nobody knows how far it came.
        self._writer.blocks.close(recorded=self._recorded)

    def record(self, connection: Any) -> None:
        """Name the bytes in the tables."""
        self._recorded = True
        self._writer.record(connection)

    def parts(self) -> list[filesets.Part]:
        """The stream as the parts of a file set."""
        return [(self.changes.encode(), None)] if self.changes else []

    def check_client(self) -> None:
        """Refuse to go on where the client went away: what looked like the stream's end may have been its loss."""
        if self._gone.is_set() or not self._context.is_active():
            raise Refusal("the client went away", grpc.StatusCode.CANCELLED)

    def _take(self, request: Any) -> None:
        body = request.WhichOneof("body")
        if body == "add_file":
            self._add(request.add_file)
            return
        self._close()
        match body:
            case "delete_file":
                self._delete(request.delete_file)
            case "copy_file":
                self._copy(request.copy_file)
            case "set_commit":
                raise Refusal("cannot set commit")
            case _:
                raise Refusal("unrecognized message type")

    def _add(self, file: Any) -> None:
        if file.WhichOneof("source") == "url":
            self._fetch(file)
            return
        self._begin(file)
        if self._builder is not None:
            self._builder.add(file.raw.value)

    def _begin(self, file: Any) -> None:
        """Go on with the path and datum that are open, or begin others."""
        at = (file.path, file.datum)
        if at != self._open:
            self._close()
            paths.check(file.path)
            if paths.clean(file.path) == "/":
                raise invalid("path (/) invalid: it is the root directory")
            self._open = at
            self._builder = self._writer.builder()

    def _fetch(self, file: Any) -> None:
        if not self._engine.url_sources:
            raise Refusal(
                "this store reads no URLs; `pix2pix store serve --url-sources` lets it read http and https",
                grpc.StatusCode.UNIMPLEMENTED,
            )
        self._close()
        self._begin(file)
        for data in url_source.read(file.url.url, file.url.recursive):
            self.check_client()
            if self._builder is not None:
                self._builder.add(data)

    def _close(self) -> None:
        if self._open is not None and self._builder is not None:
            path, datum = self._open
            self.changes.add(paths.split(paths.clean(path)), datum, self._builder.finish())
        self._open = self._builder = None

    def _delete(self, file: Any) -> None:
        paths.check(file.path)
        elements = paths.split(paths.clean(file.path))
        if not paths.is_folder(file.path):
            self.changes.delete(elements, file.datum)
            return
        folder = self.changes.sweep(elements)
        if folder is not None and self._base is not None:
            opened = open_commit(self._engine, self._base, self._context)
            below = folder_at(self._engine.pages, opened.tree, elements)
            if below is not None:
                mark_replaced(self._engine.pages, below[1], folder, file.datum or DATUM)

    def _copy(self, copy: Any) -> None:
        opened = open_commit(self._engine, copy.src.commit, self._context)
        source, target = paths.split(paths.clean(copy.src.path)), paths.split(paths.clean(copy.dst))
        pages = self._engine.pages
        found = files_at(pages, opened.tree, source, copy.src.datum)
        below = folder_at(pages, opened.tree, source)
        if below is not None:
            prefix = "/" + "".join(name + "/" for name in source)
            found = found + [node for node in walk(pages, below[1], prefix) if not node.is_folder]
        for node in found:
            if copy.src.datum and node.datum != copy.src.datum:
                continue
            elements = target + paths.split(node.path)[len(source) :]
            paths.check("/" + "/".join(elements))
            if not elements:
                raise invalid("path (/) invalid: it is the root directory")
            if not copy.append:
                self.changes.delete(elements, copy.datum)
            self._writer.rely(node.content)
            self.changes.add(elements, copy.datum, node.content)
