"""Messages of `pfs.proto` about commits and files, in Google's protobuf.

The SDK's classes (betterproto) take 0.5 ms to parse or serialize a message about a file and 2 ms for a commit; these
take microseconds. Clients and the embedded store use them for messages that come by the thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_STRING, _INT64, _INT32, _UINT32 = _FIELD.TYPE_STRING, _FIELD.TYPE_INT64, _FIELD.TYPE_INT32, _FIELD.TYPE_UINT32
_BYTES, _BOOL = _FIELD.TYPE_BYTES, _FIELD.TYPE_BOOL

# Message -> field -> its number, and its type or the name of its message ("*": repeated), as in pfs.proto of Pachyderm
# 2.12. Fields that this project neither reads nor writes are left out; the parser skips them.
_FIELDS: dict[str, dict[str, tuple[int, int | str]]] = {
    "Timestamp": {"seconds": (1, _INT64), "nanos": (2, _INT32)},
    "Project": {"name": (1, _STRING)},
    "Repo": {"name": (1, _STRING), "type": (2, _STRING), "project": (3, "Project")},
    "Branch": {"repo": (1, "Repo"), "name": (2, _STRING)},
    "Commit": {"branch": (1, "Branch"), "id": (2, _STRING), "repo": (3, "Repo")},
    "CommitOrigin": {"kind": (1, _INT32)},
    "Details": {"size_bytes": (1, _INT64)},
    "Entry": {"key": (1, _STRING), "value": (2, _STRING)},
    "CommitInfo": {
        "commit": (1, "Commit"),
        "origin": (2, "CommitOrigin"),
        "description": (3, _STRING),
        "parent_commit": (4, "Commit"),
        "child_commits": (5, "Commit*"),
        "started": (6, "Timestamp"),
        "finishing": (7, "Timestamp"),
        "finished": (8, "Timestamp"),
        "error": (10, _STRING),
        "size_bytes_upper_bound": (11, _INT64),
        "details": (12, "Details"),
        "direct_provenance": (13, "Commit*"),
        "metadata": (14, "Entry*"),
        "direct_subvenance": (15, "Commit*"),
        "created_at": (17, "Timestamp"),
        "updated_at": (18, "Timestamp"),
    },
    "CommitSet": {"id": (1, _STRING)},
    "CommitSetInfo": {"commit_set": (1, "CommitSet"), "commits": (2, "CommitInfo*")},
    "InspectCommitRequest": {"commit": (1, "Commit"), "wait": (2, _INT32)},
    "InspectCommitSetRequest": {"commit_set": (1, "CommitSet")},
    "ListCommitRequest": {"repo": (1, "Repo"), "to": (3, "Commit"), "number": (4, _INT64)},
    "File": {"commit": (1, "Commit"), "path": (2, _STRING), "datum": (3, _STRING)},
    "FileInfo": {
        "file": (1, "File"),
        "file_type": (2, _INT32),
        "committed": (3, "Timestamp"),
        "size_bytes": (4, _INT64),
        "hash": (5, _BYTES),
    },
    "WalkFileRequest": {"file": (1, "File")},
    "GlobFileRequest": {"commit": (1, "Commit"), "pattern": (2, _STRING)},
    "DiffFileRequest": {"new_file": (1, "File"), "old_file": (2, "File")},
    "DiffFileResponse": {"new_file": (1, "FileInfo"), "old_file": (2, "FileInfo")},
    "GetFileRequest": {"file": (1, "File")},
    "CreateFileSetResponse": {"file_set_id": (1, _STRING)},
    "Empty": {},
    "Any": {"type_url": (1, _STRING), "value": (2, _BYTES)},
    "Status": {"code": (1, _INT32), "message": (2, _STRING), "details": (3, "Any*")},
    "ResourceInfo": {"resource_type": (1, _STRING), "resource_name": (2, _STRING), "description": (4, _STRING)},
    "BytesValue": {"value": (1, _BYTES)},
    "URLSource": {"url": (1, _STRING), "recursive": (2, _BOOL), "concurrency": (3, _UINT32)},
    "AddFile": {"path": (1, _STRING), "datum": (2, _STRING), "raw": (3, "BytesValue"), "url": (4, "URLSource")},
    "DeleteFile": {"path": (1, _STRING), "datum": (2, _STRING)},
    "CopyFile": {"dst": (1, _STRING), "datum": (2, _STRING), "src": (3, "File"), "append": (4, _BOOL)},
    "ModifyFileRequest": {
        "set_commit": (1, "Commit"),
        "add_file": (2, "AddFile"),
        "delete_file": (3, "DeleteFile"),
        "copy_file": (4, "CopyFile"),
    },
}

# Message -> name and fields of its oneof.
_ONEOFS = {
    "AddFile": ("source", ("raw", "url")),
    "ModifyFileRequest": ("body", ("set_commit", "add_file", "delete_file", "copy_file")),
}


def _classes() -> dict[str, Any]:
    """Build the message classes, in a pool of their own: they must not clash with another copy of pfs.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="messages.proto", syntax="proto3")
    for message_name, fields in _FIELDS.items():
        descriptor = file.message_type.add(name=message_name)
        oneof, members = _ONEOFS.get(message_name, ("", ()))
        if oneof:
            descriptor.oneof_decl.add(name=oneof)
        for name, (number, kind) in fields.items():
            field = descriptor.field.add(name=name, number=number, label=_FIELD.LABEL_OPTIONAL)
            if name in members:
                field.oneof_index = 0
            if isinstance(kind, str):
                field.type, field.type_name = _FIELD.TYPE_MESSAGE, f".{kind.rstrip('*')}"
                field.label = _FIELD.LABEL_REPEATED if kind.endswith("*") else _FIELD.LABEL_OPTIONAL
            else:
                field.type = kind  # type: ignore[assignment]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _FIELDS}


_CLASSES = _classes()


def message(name: str, /, **fields: Any) -> Any:
    """Create a message by its name in pfs.proto; nested messages may be given as mappings."""
    return _CLASSES[name](**fields)


def bytes_value(pieces: Sequence[bytes]) -> bytes:
    """Serialize a `BytesValue` that holds the concatenation of some pieces, copying them once.

    Google's protobuf copies the content twice, which takes longer for 1 MiB than reading it from disk.
    """
    length = sum(map(len, pieces))
    # Field 1, length-delimited; then the length as a varint.
    header = bytearray([1 << 3 | 2])
    while length > 0x7F:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return b"".join([header, *pieces])


def parse(name: str, data: bytes) -> Any:
    """Parse a message that was received.

    Raises:
        google.protobuf.message.DecodeError: the bytes are not a message of this name.
    """
    return _CLASSES[name].FromString(data)
