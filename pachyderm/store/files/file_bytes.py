"""The bytes of files: one file from an offset on, or many as one TAR archive.

It exists apart from the listings because bytes come block by block, each compared with its hash, in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import tee
from typing import Any

from pachyderm.protocol.protobuf import bytes_value
from pachyderm.store.files import glob
from pachyderm.store.files.file_reads import Reader, of_datum
from pachyderm.store.files.tar_headers import TAR_BLOCK, tar_header
from pachyderm.store.graph.views import Forgotten
from pachyderm.store.objects.blocks import BLOCK
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.trees import Node
from pachyderm.store.refusals import Refusal, unserved


def content(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """The bytes of the one file that a path or pattern names, as `BytesValue` messages."""
    _refuse_url(request)
    try:
        reader = Reader.of_file(engine, request.file, context)
    except Forgotten as forgotten:
        raise Refusal(f"get file: {forgotten.text}") from forgotten
    if request.offset < 0:
        raise Refusal("offset must not be negative")
    found: Node | None = None
    for node in of_datum(reader.whole(glob.clean(request.file.path)), request.file.datum):
        if node.is_folder:
            raise Refusal("cannot get directory or non-regular file. Use GetFileTAR instead")
        if found is not None:
            raise Refusal("matched multiple files. Use GetFileTAR instead")
        found = node
    if found is None:
        raise reader.missing(request.file.path)
    for data in engine.contents.read(found.content, request.offset):
        yield bytes_value([data])


def _refuse_url(request: Any) -> None:
    if request.url:
        raise unserved("getting a file into a URL")


def archive(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """What a path or pattern names as a TAR archive, as `BytesValue` messages."""
    _refuse_url(request)
    reader = Reader.of_file(engine, request.file, context)
    pattern = glob.clean(request.file.path)
    nodes = of_datum(reader.whole(pattern, request.path_range.lower, request.path_range.upper), request.file.datum)
    waiting: list[bytes] = []
    size, empty = 0, True
    for piece in _tar_members(engine, nodes):
        empty = False
        waiting.append(piece)
        size += len(piece)
        if size >= BLOCK:
            yield bytes_value(waiting)
            waiting, size = [], 0
    if empty:
        raise reader.missing(request.file.path)
    waiting.append(bytes(2 * TAR_BLOCK))
    yield bytes_value(waiting)


def _tar_members(engine: Engine, nodes: Iterator[Node]) -> Iterator[bytes]:
    """The pieces of an archive: headers, blocks of files, padding."""
    members, files = tee(nodes)
    contents = engine.contents.read_each(node.content for node in files if not node.is_folder)
    for node in members:
        if node.is_folder:
            yield tar_header(node.path, 0, folder=True)
            continue
        yield tar_header(node.path, node.size, folder=False)
        yield from next(contents)
        if node.size % TAR_BLOCK:
            yield bytes(-node.size % TAR_BLOCK)
