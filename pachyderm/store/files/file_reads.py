"""Serves the requests that read files: inspect, list, walk, glob and diff."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import betterproto

from pachyderm.protocol.protobuf import message as new_message
from pachyderm.store.files import glob, paths
from pachyderm.store.files.commit_reader import CommitReader, open_commit, open_row
from pachyderm.store.objects.directories import Node
from pachyderm.store.objects.directory_diff import diff
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError

MOST = 100_000
"""Maximum number of entries in one page of a listing."""


def inspect(engine: Engine, request: Any, context: Any) -> bytes:
    """Return the `FileInfo` of a file or directory."""
    reader = CommitReader.of_file(engine, request.file, context)
    found = reader.nodes_at(paths.clean(request.file.path), request.file.datum)
    if not found:
        raise reader.not_found(request.file.path)
    return reader.info(found[-1])


def _page(request: Any) -> tuple[int, str, bool]:
    if request.number < 0:
        raise StatusError("number must not be negative")
    if request.number == 0 and request.reverse:
        raise StatusError("number must be > 0 when reverse is true")
    if request.number > MOST:
        raise StatusError(f"cannot return more than {MOST} files at a time")
    marker = request.pagination_marker.path if betterproto.serialized_on_wire(request.pagination_marker) else ""
    return request.number, marker, request.reverse


def _paged(nodes: Iterator[Node], number: int, marker: str, reverse: bool) -> Iterator[Node]:
    if not number and not marker:
        yield from nodes
        return
    cleaned = paths.clean(marker) if marker else ""
    others = (node for node in nodes if not cleaned or (node.path.rstrip("/") or "/") != cleaned)
    if reverse:
        before = (node for node in others if not marker or node.path < marker)
        yield from reversed(deque(before, maxlen=number))
        return
    for count, node in enumerate(node for node in others if not marker or node.path >= marker):
        if number and count >= number:
            return
        yield node


def listed(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """Yield the `FileInfo` of a file, or of the entries of a directory."""
    number, marker, reverse = _page(request)
    reader = CommitReader.of_file(engine, request.file, context)
    found = reader.nodes_at(paths.clean(request.file.path), request.file.datum)

    def nodes() -> Iterator[Node]:
        for node in found:
            if node.is_directory:
                yield from reader.children(node, "" if reverse else marker)
            else:
                yield node

    for node in _paged(of_datum(nodes(), request.file.datum), number, marker, reverse):
        yield reader.info(node)


def of_datum(nodes: Iterator[Node], datum: str) -> Iterator[Node]:
    """Yield the directories, and the files with this datum tag; everything if the tag is empty."""
    return (node for node in nodes if node.is_directory or node.datum == datum) if datum else nodes


def walked(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """Yield the `FileInfo` of a file, or of a directory and everything below it."""
    number, marker, reverse = _page(request)
    reader = CommitReader.of_file(engine, request.file, context)
    path = paths.clean(request.file.path)
    found = reader.nodes_at(path, request.file.datum)
    if not found and path != "/":
        raise reader.not_found(path)

    def nodes() -> Iterator[Node]:
        for node in found:
            yield node
            if node.is_directory:
                yield from reader.walk(node, "" if reverse else marker)

    for node in _paged(of_datum(nodes(), request.file.datum), number, marker, reverse):
        yield reader.info(node)


def globbed(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """Yield the `FileInfo` of the files and directories that match a pattern."""
    reader = CommitReader(engine, open_commit(engine, request.commit, context))
    lower, upper = request.path_range.lower, request.path_range.upper
    for node in reader.matches(glob.clean(request.pattern), lower, upper):
        yield reader.info(node)


def diffed(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """Yield a `DiffFileResponse` per difference between two commits; the old one defaults to the parent."""
    new = CommitReader.of_file(engine, request.new_file, context)
    old: CommitReader | None = None
    old_path = paths.clean(request.new_file.path)
    new_path = old_path
    if betterproto.serialized_on_wire(request.old_file):
        old = CommitReader.of_file(engine, request.old_file, context)
        old_path = paths.clean(request.old_file.path)
    elif new.opened.parent is not None:
        old = CommitReader(engine, open_row(engine, new.opened.parent))
    before = old.nodes_at(old_path) if old else []
    after = new.nodes_at(new_path)
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
        folder = node is not None and node.is_directory
        if not (a and b and folder and hashes.of(a.hash) == hashes.of(b.hash)):
            yield a, b
        if folder:
            yield from diff(engine.pages, hashes, a.hash if a else None, b.hash if b else None, path)
