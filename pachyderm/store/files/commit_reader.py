"""Reads the files of one commit or file set, as of the moment at which it was opened.

Reads take no lock: pages are immutable.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import betterproto

from pachyderm.store.database import resolve, rows
from pachyderm.store.files import glob, paths
from pachyderm.store.files.file_info_writer import FileInfoWriter
from pachyderm.store.graph.infos import Infos
from pachyderm.store.graph.materialize import current, fileset_tree, materialize
from pachyderm.store.graph.subscriptions import wait_finished
from pachyderm.store.names import FILE_SETS, repo_of_commit
from pachyderm.store.objects.directories import Node, children, directory_at, files_at, walk
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, file_not_found


@dataclass(frozen=True)
class OpenedCommit:
    """A commit or file set that is being read.

    Attributes:
        tree: root page of its root directory; None without files.
        writer: writes the `FileInfo` messages of its files.
        repo: name of the repo, for error texts.
        set_id: id of the commit set or file set, for error texts.
        parent: row id of the parent commit.
    """

    tree: bytes | None
    writer: FileInfoWriter
    repo: str
    set_id: str
    parent: int | None


def open_commit(engine: Engine, message: Any, context: Any) -> OpenedCommit:
    """Open a commit with everything that has been written to it; wait for one that is FINISHING.

    Raises:
        StatusError: NOT_FOUND; its base commit is unfinished; its files are invalid.
    """
    repo = repo_of_commit(message)
    if repo.name == FILE_SETS:
        return OpenedCommit(
            fileset_tree(engine, message.id), FileInfoWriter(message, None), str(repo), message.id, None
        )
    with engine.database.reading() as connection:
        row = resolve.commit(connection, message).row
        ready = current(connection, row)
    if row.finishing is not None and row.finished is None:
        wait_finished(engine, row.id, context)
        ready = False
    return _opened(engine, row.id, ready)


def open_row(engine: Engine, number: int) -> OpenedCommit:
    """Open the commit with this row id."""
    return _opened(engine, number, ready=False)


def _opened(engine: Engine, number: int, ready: bool) -> OpenedCommit:
    with engine.database.reading() as connection:
        row = rows.commit_by_id(connection, number)
        ready = ready or current(connection, row)
    if not ready:
        database = engine.database
        with database.writing() if database.refusal is None else database.reading() as connection:
            row = materialize(engine, connection, rows.commit_by_id(connection, number))
    if row.fault:
        raise StatusError(row.fault)
    with engine.database.reading() as connection:
        writer = FileInfoWriter(Infos(connection).commit(row), row.finishing)
        repo = str(rows.repo_by_id(connection, row.repo).full_name)
        return OpenedCommit(row.tree, writer, repo, row.set, row.parent)


class CommitReader:
    """Reads the files of an opened commit.

    Args:
        engine: the store.
        opened: the commit.
    """

    def __init__(self, engine: Engine, opened: OpenedCommit) -> None:
        self._engine = engine
        self.opened = opened

    @classmethod
    def of_file(cls, engine: Engine, file: Any, context: Any) -> CommitReader:
        """Open the commit of a `File` message.

        Raises:
            StatusError: as `open_commit`; the message is empty.
        """
        if not betterproto.serialized_on_wire(file):
            raise StatusError("file cannot be nil")
        return cls(engine, open_commit(engine, file.commit, context))

    def info(self, node: Node) -> bytes:
        """Return the serialized `FileInfo` of a file or directory."""
        content_hash = self._engine.hashes.of(node.hash) if node.is_directory else node.hash
        return self.opened.writer.write(node, content_hash or b"")

    def nodes_at(self, path: str, datum: str = "") -> list[Node]:
        """Return the nodes at a clean path: the files, then the directory (with a trailing slash)."""
        elements = paths.split(path)
        tree = self.opened.tree
        found = files_at(self._engine.pages, tree, elements, datum)
        directory = directory_at(self._engine.pages, tree, elements)
        if directory is not None:
            found.append(Node(path.rstrip("/") + "/", directory[0], directory[1], ""))
        return found

    def walk(self, node: Node, start: str = "") -> Iterator[Node]:
        """Yield everything below a directory, from the path `start` on."""
        return walk(self._engine.pages, node.hash, node.path, start)

    def children(self, node: Node, start: str = "") -> Iterator[Node]:
        """Yield the files and directories directly in a directory, from the path `start` on."""
        key = start[len(node.path) :].encode() if start.startswith(node.path) else b""
        return children(self._engine.pages, node.hash, node.path, key)

    def not_found(self, path: str) -> StatusError:
        """Return the error for a path that the commit lacks."""
        return file_not_found(path, self.opened.repo, self.opened.set_id)

    def matches(self, pattern: str, lower: str = "", upper: str = "") -> Iterator[Node]:
        """Yield files and directories that match a clean pattern, in byte order.

        Args:
            pattern: see `glob.matcher`.
            lower: first path to yield.
            upper: path before which to end; empty for no bound.
        """
        matches = glob.matcher(pattern)
        if glob.is_literal(pattern):
            nodes: Iterator[Node] = iter(self.nodes_at(pattern))
        else:
            literal = glob.literal_prefix(pattern)
            root = literal[: literal.rindex("/")] or "/"
            nodes = self._candidates([node for node in self.nodes_at(root) if node.is_directory], literal, pattern)
        for node in nodes:
            if upper and node.path >= upper:
                return
            if node.path >= lower and matches(node.path):
                yield node

    def _candidates(self, roots: list[Node], literal: str, pattern: str) -> Iterator[Node]:
        """Yield the nodes that begin with the literal prefix, no deeper than the pattern can match."""
        deep = "**" in pattern or "(" in pattern or "{" in pattern
        depth = pattern.count("/")

        def visit(directory: Node) -> Iterator[Node]:
            for node in self.children(directory, literal if literal.startswith(directory.path) else ""):
                if not node.path.startswith(literal[: len(node.path)]):
                    if node.path > literal and not node.path.startswith(literal):
                        return
                    continue
                yield node
                if node.is_directory and (deep or node.path.count("/") - 1 < depth):
                    yield from visit(node)

        for root in roots:
            yield root
            yield from visit(root)

    def matching_trees(self, pattern: str, lower: str = "", upper: str = "") -> Iterator[Node]:
        """Yield like `matches`, and also everything below the directories that match."""
        inside = ""
        for node in self.matches(pattern, lower, upper):
            if inside and node.path.startswith(inside):
                continue
            yield node
            if node.is_directory:
                inside = node.path
                for descendant in self.walk(node, lower):
                    if upper and descendant.path >= upper:
                        return
                    yield descendant
