"""Serves the streams that change files: ModifyFile (into an open or a new commit) and CreateFileSet.

A stream takes effect as a whole or not at all: nothing of it is visible until the client has closed it cleanly and its
bytes are durable.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.protocol.protobuf import parse
from pachyderm.store.database import resolve, rows
from pachyderm.store.database.rows import CommitRow
from pachyderm.store.files import filesets, paths, url_source
from pachyderm.store.files.commit_reader import open_commit
from pachyderm.store.graph import commits
from pachyderm.store.graph.graph_update import graph_update
from pachyderm.store.graph.infos import repo_message
from pachyderm.store.names import is_set_id, reference
from pachyderm.store.objects.changes import DATUM, Changes
from pachyderm.store.objects.contents import Builder, ContentWriter
from pachyderm.store.objects.directories import directory_at, files_at, mark_replaced, walk
from pachyderm.store.objects.engine import Engine
from pachyderm.store.request_limits import LONGEST_REQUEST
from pachyderm.store.status_errors import StatusError, commit_already_finished, invalid_argument

SETTLE = 0.005
"""Seconds to wait after the end of a stream.

gRPC's Python ends the request iterator alike for a client that closed the stream and for one that was cut off; only
moments later does the callback report the second case.
"""


@dataclass(frozen=True)
class _Target:
    """Destination of a stream.

    Attributes:
        row: the open commit; None for a new commit on `branch`.
        branch: `Branch` message.
        base: `Commit` message of the commit whose files the stream changes; None without one.
    """

    row: CommitRow | None
    branch: Any
    base: Any


def parse_request(data: bytes) -> Any:
    """Parse a `ModifyFileRequest`.

    Raises:
        ValueError: a request without file content is longer than `LONGEST_REQUEST`.
        google.protobuf.message.DecodeError: the bytes are not such a message.
    """
    request = parse("ModifyFileRequest", data)
    if len(data) > LONGEST_REQUEST and request.WhichOneof("body") != "add_file":
        raise ValueError("the request is too long")
    return request


def modify(engine: Engine, requests: Iterator[Any], context: Any) -> None:
    """Serve a ModifyFile stream.

    Seen on pachd 2.12: a stream that closes after FinishCommit destroys the commit; here it is refused.

    Raises:
        StatusError: the commit is finished when the stream begins or when it ends; a path is invalid.
    """
    first = next(requests, None)
    if first is None or first.WhichOneof("body") != "set_commit":
        raise StatusError("the first message of the stream must set the commit")
    target = _target(engine, first.set_commit)
    with _Stream(engine, requests, target.base, context) as stream, graph_update(engine) as update:
        stream.record(update.connection)
        if target.row is None:
            row = commits.start(update, target.branch)
        else:
            row = rows.commit_by_id(update.connection, target.row.id)
            if row.finishing is not None:
                raise commit_already_finished(rows.commit_name(update.connection, row))
        if stream.changes:
            filesets.attach(update, row, filesets.store(engine, update.connection, stream.parts(), life=0))
        if target.row is None:
            commits.finish(update, rows.commit_by_id(update.connection, row.id))
        stream.check_client()


def create_fileset(engine: Engine, requests: Iterator[Any], context: Any) -> str:
    """Serve a CreateFileSet stream; return the id of the file set."""
    with _Stream(engine, requests, None, context) as stream, engine.database.writing() as connection:
        stream.record(connection)
        name = filesets.store(engine, connection, stream.parts())
        stream.check_client()
        return name


def _target(engine: Engine, message: Any) -> _Target:
    ref = reference(message)
    by_branch = not is_set_id(ref.base) and not ref.root and not ref.up
    branch = pfs.Branch(name=ref.base, repo=repo_message(ref.repo))
    with engine.database.reading() as connection:
        rows.repo(connection, ref.repo)
        if by_branch and rows.find_branch(connection, ref.repo, ref.base) is None:
            return _Target(None, branch, None)
        row = resolve.commit(connection, message).row
        if row.finishing is None:
            return _Target(resolve.commit_for_writing(connection, message), None, message)
        if not by_branch:
            raise commit_already_finished(rows.commit_name(connection, row))
    return _Target(None, branch, message)


class _Stream:
    """Reads a stream of changes to its clean end and makes its bytes durable; a context manager.

    Attributes:
        changes: the changes, complete within the context.
    """

    def __init__(self, engine: Engine, requests: Iterator[Any], base: Any, context: Any) -> None:
        engine.database.check_writable()
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

    def __enter__(self) -> _Stream:
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
        # Once `record` was called, the transaction decides about the pack: see `Database.on_rollback`.
        self._writer.blocks.close(recorded=self._recorded)

    def record(self, connection: Any) -> None:
        """Name the bytes in the tables, as part of the caller's write transaction."""
        self._recorded = True
        self._writer.record(connection)

    def parts(self) -> list[filesets.Part]:
        """Return the stream as the parts of a file set."""
        return [(self.changes.encode(), None)] if self.changes else []

    def check_client(self) -> None:
        """Raise CANCELLED if the client went away: the end of the stream may have been a lost connection."""
        if self._gone.is_set() or not self._context.is_active():
            raise StatusError("the client went away", grpc.StatusCode.CANCELLED)

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
                raise StatusError("cannot set commit")
            case _:
                raise StatusError("unrecognized message type")

    def _add(self, file: Any) -> None:
        if file.WhichOneof("source") == "url":
            self._add_url(file)
            return
        self._begin(file)
        if self._builder is not None:
            self._builder.add(file.raw.value)

    def _begin(self, file: Any) -> None:
        """Continue the file that is open, or close it and begin another one."""
        key = (file.path, file.datum)
        if key != self._open:
            self._close()
            paths.check(file.path)
            if paths.clean(file.path) == "/":
                raise invalid_argument("path (/) invalid: it is the root directory")
            self._open = key
            self._builder = self._writer.builder()

    def _add_url(self, file: Any) -> None:
        if not self._engine.url_sources:
            raise StatusError(
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
        if not paths.is_directory(file.path):
            self.changes.delete(elements, file.datum)
            return
        folder = self.changes.sweep(elements)
        if folder is not None and self._base is not None:
            opened = open_commit(self._engine, self._base, self._context)
            directory = directory_at(self._engine.pages, opened.tree, elements)
            if directory is not None:
                mark_replaced(self._engine.pages, directory[1], folder, file.datum or DATUM)

    def _copy(self, copy: Any) -> None:
        opened = open_commit(self._engine, copy.src.commit, self._context)
        source, target = paths.split(paths.clean(copy.src.path)), paths.split(paths.clean(copy.dst))
        pages = self._engine.pages
        found = files_at(pages, opened.tree, source, copy.src.datum)
        directory = directory_at(pages, opened.tree, source)
        if directory is not None:
            prefix = "/" + "".join(name + "/" for name in source)
            found = found + [node for node in walk(pages, directory[1], prefix) if not node.is_directory]
        for node in found:
            if copy.src.datum and node.datum != copy.src.datum:
                continue
            elements = target + paths.split(node.path)[len(source) :]
            paths.check("/" + "/".join(elements))
            if not elements:
                raise invalid_argument("path (/) invalid: it is the root directory")
            if not copy.append:
                self.changes.delete(elements, copy.datum)
            self._writer.rely(node.content)
            self.changes.add(elements, copy.datum, node.content)
