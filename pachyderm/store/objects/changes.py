"""The effect of one write on a commit: per path, whether the existing content is deleted and what is appended.

This is pachd's meaning of a write: deletes and appends of one path are folded in the order of arrival, and the write is
applied to the commit as a whole when it closes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import grpc

from pachyderm.store.objects.contents import Content
from pachyderm.store.status_errors import StatusError

DATUM = "default"
"""Datum tag of a file that was put without one."""
MOST = 1_000_000
"""Maximum number of deletes and pieces in one write; pachd has no such limit."""

_record = struct.Struct("<HBI")
_piece = struct.Struct("<Q32s")


class Change:
    """The change of one path.

    Attributes:
        replaced: whether the commit's content of the path is deleted first.
        pieces: contents to append, in order.
    """

    __slots__ = ("pieces", "replaced")

    def __init__(self, replaced: bool = False, pieces: list[Content] | None = None) -> None:
        self.replaced = replaced
        self.pieces: list[Content] = [] if pieces is None else pieces


class DirectoryChanges:
    """The changes below one directory.

    Attributes:
        files: key (see `key_of`) -> change.
        folders: name of a subdirectory -> changes below it.
        swept: no change below has a piece, so that `Changes.sweep` has nothing to do.
        expanded: every file that the commit has below is marked as replaced.
    """

    __slots__ = ("expanded", "files", "folders", "swept")

    def __init__(self) -> None:
        self.files: dict[bytes, Change] = {}
        self.folders: dict[bytes, DirectoryChanges] = {}
        self.swept = True
        self.expanded = False


def key_of(name: str, datum: str) -> bytes:
    """Return the key of a file in its directory: its name, followed by the datum tag unless that is the default."""
    key = name.encode()
    return key if datum in ("", DATUM) else key + b"\0" + datum.encode().hex().encode()


def parse_key(key: bytes) -> tuple[str, str]:
    """Return the name and the datum tag in a file's key."""
    name, _, datum = key.partition(b"\0")
    return name.decode(), bytes.fromhex(datum.decode()).decode() if datum else DATUM


class Changes:
    """The changes of one write, as a tree of directories."""

    def __init__(self) -> None:
        self.root = DirectoryChanges()
        self._count = 0

    def add(self, elements: list[str], datum: str, piece: Content) -> None:
        """Append to the file at a path."""
        self._charge()
        self._change(elements, datum, fill=True).pieces.append(piece)

    def delete(self, elements: list[str], datum: str) -> None:
        """Delete the file at a path."""
        self._charge()
        change = self._change(elements, datum, fill=False)
        change.replaced = True
        change.pieces.clear()

    def sweep(self, elements: list[str]) -> DirectoryChanges | None:
        """Discard what this write put below a directory.

        Returns:
            the directory's changes, for the caller to mark the commit's files as replaced; None if they are already.
        """
        self._charge()
        folder = self.root
        expanded = folder.expanded
        for name in elements:
            folder = folder.folders.setdefault(name.encode(), DirectoryChanges())
            expanded = expanded or folder.expanded
        _sweep(folder)
        return None if expanded else folder

    def __bool__(self) -> bool:
        return bool(self.root.files or self.root.folders)

    def encode(self) -> bytes:
        """Serialize the changes, as they are stored with a file set."""
        out = []
        for path, change in walk(self.root, b""):
            out.append(_record.pack(len(path), change.replaced, len(change.pieces)))
            out.append(path)
            out.extend(_piece.pack(*piece) for piece in change.pieces)
        return zlib.compress(b"".join(out), 1)

    @classmethod
    def decode(cls, data: bytes) -> Changes:
        """Parse the result of `encode`."""
        changes = cls()
        for path, change in decoded(data):
            *folders, key = path[1:].split(b"/")
            folder = changes.root
            for name in folders:
                folder = folder.folders.setdefault(name, DirectoryChanges())
            folder.files[key] = change
        return changes

    def _charge(self) -> None:
        self._count += 1
        if self._count > MOST:
            raise StatusError(
                f"more than {MOST} changes in one write; send them in several", grpc.StatusCode.RESOURCE_EXHAUSTED
            )

    def _change(self, elements: list[str], datum: str, *, fill: bool) -> Change:
        folder = self.root
        if fill:
            folder.swept = False
        for name in elements[:-1]:
            key = name.encode()
            child = folder.folders.get(key)
            if child is None:
                child = folder.folders[key] = DirectoryChanges()
            folder = child
            if fill:
                folder.swept = False
        return folder.files.setdefault(key_of(elements[-1], datum), Change())


def _sweep(folder: DirectoryChanges) -> None:
    if folder.swept:
        return
    for key, change in list(folder.files.items()):
        change.pieces.clear()
        if not change.replaced:
            del folder.files[key]
    for child in folder.folders.values():
        _sweep(child)
    folder.swept = True


def walk(folder: DirectoryChanges, prefix: bytes) -> Iterator[tuple[bytes, Change]]:
    """Yield every change below a directory with its full key: path and datum tag."""
    for key in sorted(folder.files):
        yield prefix + b"/" + key, folder.files[key]
    for name in sorted(folder.folders):
        yield from walk(folder.folders[name], prefix + b"/" + name)


def decoded(data: bytes) -> Iterator[tuple[bytes, Change]]:
    """Yield the changes in the result of `Changes.encode`, with their full keys."""
    raw = zlib.decompress(data)
    position = 0
    while position < len(raw):
        length, replaced, count = _record.unpack_from(raw, position)
        position += _record.size
        path = raw[position : position + length]
        position += length
        pieces = [Content(*_piece.unpack_from(raw, position + i * _piece.size)) for i in range(count)]
        position += count * _piece.size
        yield path, Change(bool(replaced), pieces)
