"""The bytes of files: one file from an offset on, or many as one TAR archive.

It exists apart from the listings because bytes come block by block, each compared with its hash, in bounded memory.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import Any

from pachyderm.store.files import glob
from pachyderm.store.files.file_reads import Reader, of_datum
from pachyderm.store.objects.blocks import BLOCK
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.trees import Node
from pachyderm.store.refusals import Refusal, unserved
from pachyderm.store.rpc.hot_messages import bytes_value

TAR_BLOCK = 512


def content(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """The bytes of the one file that a path or pattern names, as `BytesValue` messages."""
    _refuse_url(request)
    reader = Reader.of_file(engine, request.file, context)
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
        yield bytes_value(data)


def _refuse_url(request: Any) -> None:
    if request.url:
        raise unserved("getting a file into a URL")


def archive(engine: Engine, request: Any, context: Any) -> Iterator[bytes]:
    """What a path or pattern names as a TAR archive, as `BytesValue` messages."""
    _refuse_url(request)
    reader = Reader.of_file(engine, request.file, context)
    pattern = glob.clean(request.file.path)
    nodes = of_datum(reader.whole(pattern, request.path_range.lower, request.path_range.upper), request.file.datum)
    waiting, size, empty = [], 0, True
    for node in nodes:
        empty = False
        for piece in _tar_member(engine, node):
            waiting.append(piece)
            size += len(piece)
            if size >= BLOCK:
                yield bytes_value(b"".join(waiting))
                waiting, size = [], 0
    if empty:
        raise reader.missing(request.file.path)
    waiting.append(bytes(2 * TAR_BLOCK))
    yield bytes_value(b"".join(waiting))


def _tar_member(engine: Engine, node: Node) -> Iterator[bytes]:
    header = tarfile.TarInfo(node.path)
    header.mode = 0o777
    if node.is_folder:
        header.type = tarfile.DIRTYPE
        yield header.tobuf(tarfile.PAX_FORMAT)
        return
    header.size = node.size
    yield header.tobuf(tarfile.PAX_FORMAT)
    yield from engine.contents.read(node.content)
    if node.size % TAR_BLOCK:
        yield bytes(TAR_BLOCK - node.size % TAR_BLOCK)
