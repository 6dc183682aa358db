"""The files of a commit: what there is, what matches, what differs from another commit, and the bytes of a small one.

It exists because stages compare listings of 100,000 files: the SDK's messages cost half a millisecond each to parse,
so path, size and content hash, and nothing else, are read from the answers by Google's parser, in a microsecond.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from pachyderm_sdk.api import pfs

from pachyderm.connection import Connection
from pachyderm.repos import PARAMETERS_FILE, REPORT


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of a commit.

    Attributes:
        bytes: its size.
        hash: hex of the server's content hash; opaque, equal for equal content on one server.
    """

    bytes: int
    hash: str


Listing = Mapping[str, FileEntry]
"""Path (absolute, as Pachyderm writes it) -> file."""


def files(client: Connection, repo: str, commit_id: str, under: str = "/") -> dict[str, FileEntry]:
    """List every file of a commit below a path, in byte order; empty where the path is not there."""
    request = pfs.WalkFileRequest(file=client.file(repo, commit_id, under))
    try:
        return dict(map(_entry, filter(_is_file, _asked(client, "WalkFile", request, _FILE_INFO))))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            return {}
        raise


def matching(client: Connection, repo: str, commit_id: str, pattern: str) -> dict[str, FileEntry]:
    """List the files of a commit that match a glob pattern of Pachyderm's, those below a matching folder included."""
    request = pfs.GlobFileRequest(commit=client.commit(repo, commit_id), pattern=pattern)
    found: dict[str, FileEntry] = {}
    for info in _asked(client, "GlobFile", request, _FILE_INFO):
        found |= [_entry(info)] if _is_file(info) else files(client, repo, commit_id, info.file.path)
    return found


def differing(client: Connection, repo: str, commit_id: str, before: str) -> dict[str, FileEntry | None]:
    """The files in which a commit differs from another one of its repo; None for one that it lacks."""
    request = pfs.DiffFileRequest(new_file=client.file(repo, commit_id, "/"), old_file=client.file(repo, before, "/"))
    found: dict[str, FileEntry | None] = {}
    for answer in _asked(client, "DiffFile", request, _DIFFERENCE):
        new, old = answer.new_file, answer.old_file
        if new.file.path and _is_file(new):
            found |= [_entry(new)]
        elif old.file.path and _is_file(old):
            found.setdefault(old.file.path, None)
    return found


def content(listing: Listing) -> dict[str, FileEntry]:
    """A listing without what a stage says about itself and without the parameters file."""
    return {path: entry for path, entry in listing.items() if not path.startswith(REPORT) and path != PARAMETERS_FILE}


def read(client: Connection, repo: str, commit_id: str, path: str) -> bytes | None:
    """Read one small file whole, or None where the commit has none."""
    try:
        return b"".join(part.value for part in client.pfs.get_file(file=client.file(repo, commit_id, path)))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND or "not found" in (error.details() or ""):
            return None
        raise


def _asked(client: Connection, method: str, request: Any, answer: Any) -> Iterator[Any]:
    call = client.channel.unary_stream(
        f"/pfs_v2.API/{method}", request_serializer=bytes, response_deserializer=answer.FromString
    )
    yield from call(request)


def _is_file(info: Any) -> bool:
    return bool(info.file_type == _FILE)


def _entry(info: Any) -> tuple[str, FileEntry]:
    return info.file.path, FileEntry(info.size_bytes, info.hash.hex())


def _messages() -> tuple[Any, Any]:
    """`FileInfo` and `DiffFileResponse` of pfs.proto (Pachyderm 2.12), with the fields that are read here alone.

    In a pool of their own, so that no other protobuf file of the process can clash with them.
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    fields: dict[str, dict[str, tuple[int, int, str]]] = {
        "File": {"path": (2, kinds.TYPE_STRING, "")},
        "FileInfo": {
            "file": (1, kinds.TYPE_MESSAGE, ".File"),
            "file_type": (2, kinds.TYPE_INT32, ""),
            "size_bytes": (4, kinds.TYPE_INT64, ""),
            "hash": (5, kinds.TYPE_BYTES, ""),
        },
        "DiffFileResponse": {
            "new_file": (1, kinds.TYPE_MESSAGE, ".FileInfo"),
            "old_file": (2, kinds.TYPE_MESSAGE, ".FileInfo"),
        },
    }
    described = descriptor_pb2.FileDescriptorProto(name="file_infos.proto", syntax="proto3")
    for message, parts in fields.items():
        told = described.message_type.add(name=message)
        for name, (number, kind, of) in parts.items():
            told.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL, type_name=of or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return (
        message_factory.GetMessageClass(pool.FindMessageTypeByName("FileInfo")),
        message_factory.GetMessageClass(pool.FindMessageTypeByName("DiffFileResponse")),
    )


_FILE_INFO, _DIFFERENCE = _messages()
_FILE = pfs.FileType.FILE.value
