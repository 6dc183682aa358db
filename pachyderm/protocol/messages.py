"""Messages of `pfs.proto` about commits and files, by Google's protobuf.

The SDK's own classes (betterproto) take 0.5 ms to read or write a message about a file and 2 ms for a commit; these
take microseconds. Clients and the embedded store use them for whatever comes by the thousand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS = descriptor_pb2.FieldDescriptorProto
_TEXT, _NUMBER, _SMALL = _KINDS.TYPE_STRING, _KINDS.TYPE_INT64, _KINDS.TYPE_INT32
_BYTES, _FLAG = _KINDS.TYPE_BYTES, _KINDS.TYPE_BOOL

# Message -> field -> its number, and its type or the message that it holds (many of those with "*"), as in pfs.proto of
# Pachyderm 2.12. Fields that nothing here reads or writes are left out: the parser skips them.
_FIELDS: dict[str, dict[str, tuple[int, int | str]]] = {
    "Timestamp": {"seconds": (1, _NUMBER), "nanos": (2, _SMALL)},
    "Project": {"name": (1, _TEXT)},
    "Repo": {"name": (1, _TEXT), "type": (2, _TEXT), "project": (3, "Project")},
    "Branch": {"repo": (1, "Repo"), "name": (2, _TEXT)},
    "Commit": {"branch": (1, "Branch"), "id": (2, _TEXT), "repo": (3, "Repo")},
    "CommitOrigin": {"kind": (1, _SMALL)},
    "Details": {"size_bytes": (1, _NUMBER)},
    "Entry": {"key": (1, _TEXT), "value": (2, _TEXT)},
    "CommitInfo": {
        "commit": (1, "Commit"),
        "origin": (2, "CommitOrigin"),
        "description": (3, _TEXT),
        "parent_commit": (4, "Commit"),
        "child_commits": (5, "Commit*"),
        "started": (6, "Timestamp"),
        "finishing": (7, "Timestamp"),
        "finished": (8, "Timestamp"),
        "error": (10, _TEXT),
        "size_bytes_upper_bound": (11, _NUMBER),
        "details": (12, "Details"),
        "direct_provenance": (13, "Commit*"),
        "metadata": (14, "Entry*"),
        "direct_subvenance": (15, "Commit*"),
        "created_at": (17, "Timestamp"),
        "updated_at": (18, "Timestamp"),
    },
    "CommitSet": {"id": (1, _TEXT)},
    "CommitSetInfo": {"commit_set": (1, "CommitSet"), "commits": (2, "CommitInfo*")},
    "InspectCommitRequest": {"commit": (1, "Commit"), "wait": (2, _SMALL)},
    "InspectCommitSetRequest": {"commit_set": (1, "CommitSet")},
    "ListCommitRequest": {"repo": (1, "Repo"), "to": (3, "Commit"), "number": (4, _NUMBER)},
    "File": {"commit": (1, "Commit"), "path": (2, _TEXT), "datum": (3, _TEXT)},
    "FileInfo": {
        "file": (1, "File"),
        "file_type": (2, _SMALL),
        "committed": (3, "Timestamp"),
        "size_bytes": (4, _NUMBER),
        "hash": (5, _BYTES),
    },
    "WalkFileRequest": {"file": (1, "File")},
    "GlobFileRequest": {"commit": (1, "Commit"), "pattern": (2, _TEXT)},
    "DiffFileRequest": {"new_file": (1, "File"), "old_file": (2, "File")},
    "DiffFileResponse": {"new_file": (1, "FileInfo"), "old_file": (2, "FileInfo")},
    "GetFileRequest": {"file": (1, "File")},
    "Any": {"type_url": (1, _TEXT), "value": (2, _BYTES)},
    "Status": {"code": (1, _SMALL), "message": (2, _TEXT), "details": (3, "Any*")},
    "ResourceInfo": {"resource_type": (1, _TEXT), "resource_name": (2, _TEXT), "description": (4, _TEXT)},
    "BytesValue": {"value": (1, _BYTES)},
    "URLSource": {"url": (1, _TEXT), "recursive": (2, _FLAG), "concurrency": (3, _KINDS.TYPE_UINT32)},
    "AddFile": {"path": (1, _TEXT), "datum": (2, _TEXT), "raw": (3, "BytesValue"), "url": (4, "URLSource")},
    "DeleteFile": {"path": (1, _TEXT), "datum": (2, _TEXT)},
    "CopyFile": {"dst": (1, _TEXT), "datum": (2, _TEXT), "src": (3, "File"), "append": (4, _FLAG)},
    "ModifyFileRequest": {
        "set_commit": (1, "Commit"),
        "add_file": (2, "AddFile"),
        "delete_file": (3, "DeleteFile"),
        "copy_file": (4, "CopyFile"),
    },
}

# Message -> its oneof and the fields of it.
_ONEOFS = {
    "AddFile": ("source", ("raw", "url")),
    "ModifyFileRequest": ("body", ("set_commit", "add_file", "delete_file", "copy_file")),
}


def _classes() -> dict[str, Any]:
    """The classes of the messages, in a pool of their own, so that no other protobuf file of the process clashes."""
    described = descriptor_pb2.FileDescriptorProto(name="messages.proto", syntax="proto3")
    for message, fields in _FIELDS.items():
        described_message = described.message_type.add(name=message)
        oneof, members = _ONEOFS.get(message, ("", ()))
        if oneof:
            described_message.oneof_decl.add(name=oneof)
        for name, (number, kind) in fields.items():
            field = described_message.field.add(name=name, number=number, label=_KINDS.LABEL_OPTIONAL)
            if name in members:
                field.oneof_index = 0
            if isinstance(kind, str):
                field.type, field.type_name = _KINDS.TYPE_MESSAGE, f".{kind.rstrip('*')}"
                field.label = _KINDS.LABEL_REPEATED if kind.endswith("*") else _KINDS.LABEL_OPTIONAL
            else:
                field.type = kind  # type: ignore[assignment]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _FIELDS}


_CLASSES = _classes()


def message(name: str, /, **fields: Any) -> Any:
    """A message by its name in pfs.proto; a message inside it is given as a mapping."""
    return _CLASSES[name](**fields)


def bytes_value(pieces: Sequence[bytes]) -> bytes:
    """Serialize a `BytesValue` that holds some pieces joined, with a single copy.

    Google's protobuf copies the content twice, which for 1 MiB takes longer than to read it from the disk.
    """
    length = sum(map(len, pieces))
    header = bytearray([1 << 3 | 2])
    while length > 0x7F:
        header.append(length & 0x7F | 0x80)
        length >>= 7
    header.append(length)
    return b"".join([header, *pieces])


def parse(name: str, data: bytes) -> Any:
    """A message that was received.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.
    """
    return _CLASSES[name].FromString(data)
