"""The two messages that come by the hundred thousand, read and written by hand: changes of files, and infos about them.

It exists because the SDK's messages cost about half a millisecond each, and these are sent for every single file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pachyderm_sdk.api import pfs

from pachyderm.store.objects.trees import Node
from pachyderm.store.rpc.wire import LONGEST_REQUEST, well_formed


@dataclass(frozen=True, slots=True)
class Modification:
    """One `ModifyFileRequest`.

    Attributes:
        kind: ``add``, ``delete``, ``copy``, ``commit``, ``url`` or empty.
        path: of the file that is added or deleted.
        datum: its datum tag.
        data: what is added.
        message: the `CopyFile`, the `Commit`, or None.
    """

    kind: str
    path: str = ""
    datum: str = ""
    data: bytes = b""
    message: Any = None


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = data[position]
    position += 1
    if value < 0x80:
        return value, position
    value &= 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")


def _fields(data: bytes) -> list[tuple[int, bytes]] | None:
    """Fields of a message whose fields all have a length; None for any other message."""
    found = []
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        if tag & 7 != 2:
            return None
        length, position = _varint(data, position)
        end = position + length
        if end > len(data):
            raise ValueError("a message is cut off")
        found.append((tag >> 3, data[position:end]))
        position = end
    return found


def read_modification(data: bytes) -> Modification:
    """Read a `ModifyFileRequest`."""
    body = _fields(data)
    if body is not None and len(body) == 1 and body[0][0] in (2, 3):
        kind, inner = body[0]
        fields = _fields(inner)
        if fields is not None:
            found = dict(fields)
            if kind == 3:
                return Modification("delete", found.get(1, b"").decode(), found.get(2, b"").decode())
            if 4 not in found:
                raw = _fields(found.get(3, b"")) or []
                return Modification(
                    "add", found.get(1, b"").decode(), found.get(2, b"").decode(), dict(raw).get(1, b"")
                )
    return _read_slowly(data)


def _read_slowly(data: bytes) -> Modification:
    import betterproto

    if len(data) > LONGEST_REQUEST:
        raise ValueError("the request is too long")
    request = well_formed(pfs.ModifyFileRequest.FromString(data))
    kind, value = betterproto.which_one_of(request, "body")
    match kind:
        case "add_file":
            if betterproto.which_one_of(value, "source")[0] == "url":
                return Modification("url", value.path, value.datum)
            return Modification("add", value.path, value.datum, value.raw or b"")
        case "delete_file":
            return Modification("delete", value.path, value.datum)
        case "copy_file":
            return Modification("copy", value.dst, value.datum, message=value)
        case "set_commit":
            return Modification("commit", message=value)
    return Modification("")


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | 2) + _number(len(content)) + content


class FileInfoWriter:
    """Writes `FileInfo` messages of one commit.

    Args:
        commit: a `Commit` message.
        committed: microseconds since 1970 at which it was finished; None while it is open.
    """

    def __init__(self, commit: Any, committed: int | None) -> None:
        self._commit = _field(1, bytes(commit))
        self._file_tail = _field(3, b"default")
        self._time = b""
        if committed is not None:
            seconds, micros = divmod(committed, 1_000_000)
            stamp = b"\x08" + _number(seconds) + (b"\x10" + _number(micros * 1000) if micros else b"")
            self._time = _field(3, stamp)

    def write(self, node: Node, hashed: bytes) -> bytes:
        """The message for a file or directory.

        Args:
            node: the file or directory.
            hashed: its hash.
        """
        file = self._commit + _field(2, node.path.encode())
        if node.datum == "default":
            file += self._file_tail
        elif node.datum:
            file += _field(3, node.datum.encode())
        kind = b"\x10\x02" if node.is_folder else b"\x10\x01"
        size = b"\x20" + _number(node.size) if node.size else b""
        return _field(1, file) + kind + self._time + size + _field(5, hashed)


def join_diff(new: bytes, old: bytes) -> bytes:
    """The `DiffFileResponse` of two `FileInfo` messages; an empty one for a side that has nothing."""
    return (_field(1, new) if new else b"") + (_field(2, old) if old else b"")


def commit_set_info(commit_set: bytes, commits: list[bytes]) -> bytes:
    """The `CommitSetInfo` of a `CommitSet` and its `CommitInfo` messages."""
    return _field(1, commit_set) + b"".join(_field(2, info) for info in commits)


def bytes_value(data: bytes) -> bytes:
    """A `BytesValue` message."""
    return _field(1, data) if data else b""
