"""Files of a commit: inspected, listed, walked, matched, compared.

It exists apart from the writes because reads take no lock: they work on the pages that the commit had when they began.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import betterproto

from pachyderm.protocol.protobuf import message as new_message
from pachyderm.store.database import rows
from pachyderm.store.files import glob, paths
from pachyderm.store.files.file_infos import FileInfoWriter
from pachyderm.store.graph.infos import Infos
from pachyderm.store.graph.views import current, fileset_tree, materialize
from pachyderm.store.graph.waits import wait_finished
from pachyderm.store.names import FILE_SETS, repo_of_commit
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.tree_diff import diff
from pachyderm.store.objects.trees import Node, children, files_at, folder_at, walk
from pachyderm.store.refusals import Refusal, file_missing

MOST = 100_000
"""Entries in one page of a listing."""


@dataclass(frozen=True)
class Opened:
    """A commit, or a file set, as it is read.

    Attributes:
        tree: the root directory's topmost page; None for no files.
        writer: writes the infos of its files.
        repo: the repo's name, for error texts.
        set_id: the commit set's id, likewise.
        parent: the parent commit's row.
    """

    tree: bytes | None
    writer: FileInfoWriter
    repo: str
    set_id: str
    parent: int | None


def open_commit(engine: Engine, message: Any, context: Any) -> Opened:
    """Find a commit and bring its files up to what was written; waits while it is being finished.

    Raises:
        Refusal: NOT_FOUND; its base is not finished; its files contradict each other.
    """
    owner = repo_of_commit(message)
    if owner.name == FILE_SETS:
        return Opened(fileset_tree(engine, message.id), FileInfoWriter(message, None), str(owner), message.id, None)
    with engine.database.reading() as connection:
        row = rows.pick(connection, message).row
        ready = current(connection, row)
    if row.finishing is not None and row.finished is None:
        wait_finished(engine, row.id, context)
        ready = False
    return _opened(engine, row.id, ready)


def open_row(engine: Engine, number: int) -> Opened:
    """Open a commit by its row."""
    return _opened(engine, number, ready=False)


def _opened(engine: Engine, number: int, ready: bool) -> Opened:
    with engine.database.reading() as connection:
        row = rows.commit_by_id(connection, number)
        ready = ready or current(connection, row)
    if not ready:
        with engine.database.writing() as connection:
            row = materialize(engine, connection, rows.commit_by_id(connection, number))
    if row.fault:
        raise Refusal(row.fault)
    with engine.database.reading() as connection:
        infos = Infos(connection)
        writer = FileInfoWriter(infos.commit(row), row.finishing)
        return Opened(row.tree, writer, str(rows.repo_by_id(connection, row.repo).full_name), row.set, row.parent)


def _checked(file: Any) -> Any:
    if not betterproto.serialized_on_wire(file):
        raise Refusal("file cannot be nil")
    return file


class Reader:
    """Reads one commit."""

    def __init__(self, engine: Engine, opened: Opened) -> None:
        self._engine = engine
        self.opened = opened

    @classmethod
    def of_file(cls, engine: Engine, file: Any, context: Any) -> Reader:
        """The reader of the commit that a `File` message names."""
        return cls(engine, open_commit(engine, _checked(file).commit, context))

    def info(self, node: Node) -> bytes:
        """The `FileInfo` of a file or directory."""
        hashed = self._engine.hashes.of(node.hash) if node.is_folder else node.hash
        return self.opened.writer.write(node, hashed or b"")

    def at(self, path: str, datum: str = "") -> list[Node]:
        """What is at a clean path: the file, and the directory with its trailing slash."""
        elements = paths.split(path)
        tree = self.opened.tree
        found = files_at(self._engine.pages, tree, elements, datum)
        below = folder_at(self._engine.pages, tree, elements)
        if below is not None:
            found.append(Node(path.rstrip("/") + "/", below[0], below[1], ""))
        return found

    def below(self, node: Node, start: str = "") -> Iterator[Node]:
        """Everything in a directory."""
        return walk(self._engine.pages, node.hash, node.path, start)

    def children(self, node: Node, start: str = "") -> Iterator[Node]:
        """The files and directories of a directory."""
        key = start[len(node.path) :].encode() if start.startswith(node.path) else b""
        return children(self._engine.pages, node.hash, node.path, key)

    def missing(self, path: str) -> Refusal:
        """The refusal of a path."""
        return file_missing(path, self.opened.repo, self.opened.set_id)

    def matches(self, pattern: str, lower: str = "", upper: str = "") -> Iterator[Node]:
        """Files and directories that match a clean pattern, in byte order."""
        wanted = glob.matcher(pattern)
        if glob.is_literal(pattern):
            nodes: Iterator[Node] = iter(self.at(pattern))
        else:
            literal = glob.literal_prefix(pattern)
            root = literal[: literal.rindex("/")] or "/"
            nodes = self._candidates([node for node in self.at(root) if node.is_folder], literal, pattern)
        for node in nodes:
            if upper and node.path >= upper:
                return
            if node.path >= lower and wanted(node.path):
                yield node

    def _candidates(self, roots: list[Node], literal: str, pattern: str) -> Iterator[Node]:
        deep = "**" in pattern or "(" in pattern or "{" in pattern
        depth = pattern.count("/")

        def visit(folder: Node) -> Iterator[Node]:
            for node in self.children(folder, literal if literal.startswith(folder.path) else ""):
                if not node.path.startswith(literal[: len(node.path)]):
                    if node.path > literal and not node.path.startswith(literal):
                        return
                    continue
                yield node
                if node.is_folder and (deep or node.path.count("/") - 1 < depth):
                    yield from visit(node)

        for root in roots:
            yield root
            yield from visit(root)

    def whole(self, pattern: str, lower: str = "", upper: str = "") -> Iterator[Node]:
        """Like `matches`, with everything below the directories that match."""
        inside = ""
        for node in self.matches(pattern, lower, upper):
            if inside and node.path.startswith(inside):
                continue
            yield node
            if node.is_folder:
                inside = node.path
                for below in self.below(node, lower):
                    if upper and below.path >= upper:
                        return
                    yield below


def inspect(engine: Engine, request: Any, context: Any) -> bytes:
    """The `FileInfo` of a file or directory."""
    reader = Reader.of_file(engine, request.file, context)
    found = reader.at(paths.clean(request.file.path), request.file.datum)
    if not found:
        raise reader.missing(request.file.path)
    return reader.info(found[-1])


def _page(request: Any) -> tuple[int, str, bool]:
    if request.number < 0:
        raise Refusal("number must not be negative")
    if request.number == 0 and request.reverse:
        raise Refusal("number must be > 0 when reverse is true")
    if request.number > MOST:
        raise Refusal(f"cannot return more than {MOST} files at a time")
    marker = request.pagination_marker.path if betterproto.serialized_on_wire(request.pagination_marker) else ""
    return request.number, marker, request.reverse


def _paged(nodes: Iterator[Node], number: int, marker: str, reverse: bool) -> Iterator[Node]:
    if not number and not marker:
        yield from nodes
        return
    cleaned = paths.clean(marker) if marker else ""
    wanted = (node for node in nodes if not cleaned or (node.path.rstrip("/") or "/") != cleaned)
    if reverse:
        from collections import deque

        before = (node for node in wanted if not marker or node.path < marker)
        yield from reversed(deque(before, maxlen=number))
        return
    for count, node in enumerate(node for node in wanted if not marker or node.path >= marker):
        if number and count >= number:
            return
        yield node


def listed(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """The `FileInfo` of a file, or of what is directly in a directory."""
    number, marker, reverse = _page(request)
    reader = Reader.of_file(engine, request.file, context)
    found = reader.at(paths.clean(request.file.path), request.file.datum)

    def nodes() -> Iterator[Node]:
        for node in found:
            if node.is_folder:
                yield from reader.children(node, "" if reverse else marker)
            else:
                yield node

    for node in _paged(of_datum(nodes(), request.file.datum), number, marker, reverse):
        yield reader.info(node)


def of_datum(nodes: Iterator[Node], datum: str) -> Iterator[Node]:
    """The directories, and the files with this datum tag; all of them where it is empty."""
    return (node for node in nodes if node.is_folder or node.datum == datum) if datum else nodes


def walked(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """The `FileInfo` of a file, or of a directory and everything in it."""
    number, marker, reverse = _page(request)
    reader = Reader.of_file(engine, request.file, context)
    path = paths.clean(request.file.path)
    found = reader.at(path, request.file.datum)
    if not found and path != "/":
        raise reader.missing(path)

    def nodes() -> Iterator[Node]:
        for node in found:
            yield node
            if node.is_folder:
                yield from reader.below(node, "" if reverse else marker)

    for node in _paged(of_datum(nodes(), request.file.datum), number, marker, reverse):
        yield reader.info(node)


def globbed(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """The `FileInfo` of what matches a pattern."""
    reader = Reader(engine, open_commit(engine, request.commit, context))
    lower, upper = request.path_range.lower, request.path_range.upper
    for node in reader.matches(glob.clean(request.pattern), lower, upper):
        yield reader.info(node)


def diffed(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """The `DiffFileResponse` of what differs between two commits; the old one is the parent without."""
    new = Reader.of_file(engine, request.new_file, context)
    old: Reader | None = None
    old_path = paths.clean(request.new_file.path)
    new_path = old_path
    if betterproto.serialized_on_wire(request.old_file):
        old = Reader.of_file(engine, request.old_file, context)
        old_path = paths.clean(request.old_file.path)
    elif new.opened.parent is not None:
        old = Reader(engine, open_row(engine, new.opened.parent))
    before = old.at(old_path) if old else []
    after = new.at(new_path)
    for a, b in _differences(engine, before, after):
        response = new_message("DiffFileResponse")
        if b:
            response.new_file.MergeFromString(new.info(b))
        if a and old:
            response.old_file.MergeFromString(old.info(a))
        yield response.SerializeToString()


def _differences(engine: Engine, before: list[Node], after: list[Node]) -> Iterator[tuple[Node | None, Node | None]]:
    left = {node.path: node for node in before}
    right = {node.path: node for node in after}
    hashes = engine.hashes
    for path in sorted({*left, *right}):
        a, b = left.get(path), right.get(path)
        if a and b and a.hash == b.hash:
            continue
        node = a or b
        folder = node is not None and node.is_folder
        if not (a and b and folder and hashes.of(a.hash) == hashes.of(b.hash)):
            yield a, b
        if folder:
            yield from diff(engine.pages, hashes, a.hash if a else None, b.hash if b else None, path)
