"""Serves the bytes of files: one file from an offset on, or many as one TAR archive, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import tee
from typing import Any

from pachyderm.protocol.protobuf import bytes_value
from pachyderm.store.files import glob
from pachyderm.store.files.commit_reader import CommitReader
from pachyderm.store.files.file_reads import of_datum
from pachyderm.store.files.tar_headers import TAR_BLOCK, tar_header
from pachyderm.store.graph.materialize import ForgottenError
from pachyderm.store.objects.blocks import BLOCK
from pachyderm.store.objects.directories import Node
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError, unimplemented


def content(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """Yield the bytes of the only file that matches a path or pattern, as `BytesValue` messages."""
    _refuse_url(request)
    try:
        reader = CommitReader.of_file(engine, request.file, context)
    except ForgottenError as error:
        raise StatusError(f"get file: {error.text}") from error
    if request.offset < 0:
        raise StatusError("offset must not be negative")
    found: Node | None = None
    for node in of_datum(reader.matching_trees(glob.clean(request.file.path)), request.file.datum):
        if node.is_directory:
            raise StatusError("cannot get directory or non-regular file. Use GetFileTAR instead")
        if found is not None:
            raise StatusError("matched multiple files. Use GetFileTAR instead")
        found = node
    if found is None:
        raise reader.not_found(request.file.path)
    for data in engine.contents.read(found.content, request.offset):
        yield bytes_value([data])


def _refuse_url(request: Any) -> None:
    if request.url:
        raise unimplemented("getting a file into a URL")


def archive(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """Yield what matches a path or pattern as a TAR archive, as `BytesValue` messages."""
    _refuse_url(request)
    reader = CommitReader.of_file(engine, request.file, context)
    pattern = glob.clean(request.file.path)
    nodes = of_datum(
        reader.matching_trees(pattern, request.path_range.lower, request.path_range.upper), request.file.datum
    )
    buffer: list[bytes] = []
    size, empty = 0, True
    for piece in _tar_members(engine, nodes):
        empty = False
        buffer.append(piece)
        size += len(piece)
        if size >= BLOCK:
            yield bytes_value(buffer)
            buffer, size = [], 0
    if empty:
        raise reader.not_found(request.file.path)
    buffer.append(bytes(2 * TAR_BLOCK))
    yield bytes_value(buffer)


def _tar_members(engine: Engine, nodes: Iterator[Node]) -> Iterator[bytes]:
    """Yield the pieces of an archive: headers, blocks of files, padding."""
    members, files = tee(nodes)
    contents = engine.contents.read_each(node.content for node in files if not node.is_directory)
    for node in members:
        if node.is_directory:
            yield tar_header(node.path, 0, folder=True)
            continue
        yield tar_header(node.path, node.size, folder=False)
        yield from next(contents)
        if node.size % TAR_BLOCK:
            yield bytes(-node.size % TAR_BLOCK)
