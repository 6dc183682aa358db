"""The messages of Pachyderm that come by the thousand, commits and files, as Google's protobuf knows them.

It exists because the SDK's own messages cost half a millisecond to read or write for a file and two for a commit, which
is most of the time of a long listing; these cost microseconds. A field that is absent reads as absent here.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS = descriptor_pb2.FieldDescriptorProto
_TEXT, _NUMBER, _SMALL = _KINDS.TYPE_STRING, _KINDS.TYPE_INT64, _KINDS.TYPE_INT32

# Message -> field -> its number, and its type or the message that it holds (many of those with "*"), as in pfs.proto of
# Pachyderm 2.12. What nobody here reads or writes is left out: the parser passes over it.
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
    "InspectCommitRequest": {"commit": (1, "Commit"), "wait": (2, _SMALL)},
    "InspectCommitSetRequest": {"commit_set": (1, "CommitSet")},
    "ListCommitRequest": {"repo": (1, "Repo"), "to": (3, "Commit"), "number": (4, _NUMBER)},
    "File": {"commit": (1, "Commit"), "path": (2, _TEXT)},
    "FileInfo": {
        "file": (1, "File"),
        "file_type": (2, _SMALL),
        "size_bytes": (4, _NUMBER),
        "hash": (5, _KINDS.TYPE_BYTES),
    },
    "WalkFileRequest": {"file": (1, "File")},
    "GlobFileRequest": {"commit": (1, "Commit"), "pattern": (2, _TEXT)},
    "DiffFileRequest": {"new_file": (1, "File"), "old_file": (2, "File")},
    "DiffFileResponse": {"new_file": (1, "FileInfo"), "old_file": (2, "FileInfo")},
    "GetFileRequest": {"file": (1, "File")},
    "BytesValue": {"value": (1, _KINDS.TYPE_BYTES)},
}


def _classes() -> dict[str, Any]:
    """The classes of the messages, in a pool of their own, so that no other protobuf file of the process clashes."""
    described = descriptor_pb2.FileDescriptorProto(name="messages.proto", syntax="proto3")
    for message, fields in _FIELDS.items():
        told = described.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            one = told.field.add(name=name, number=number, label=_KINDS.LABEL_OPTIONAL)
            if isinstance(kind, str):
                one.type, one.type_name = _KINDS.TYPE_MESSAGE, f".{kind.rstrip('*')}"
                one.label = _KINDS.LABEL_REPEATED if kind.endswith("*") else _KINDS.LABEL_OPTIONAL
            else:
                one.type = kind  # type: ignore[assignment]
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in _FIELDS}


_CLASSES = _classes()


def message(name: str, /, **fields: Any) -> Any:
    """A message by its name in pfs.proto; a message inside it is given as a mapping."""
    return _CLASSES[name](**fields)


def parse(name: str, data: bytes) -> Any:
    """A message that was received.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.
    """
    return _CLASSES[name].FromString(data)
