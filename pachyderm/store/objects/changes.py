"""What one write does to a commit: for each path, whether what was there goes, and what is appended.

It exists because pachd gives a write exactly this meaning: deletes and appends of one path are folded in the order in
which they came, and a write is applied to the commit as a whole, when it closes.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from pachyderm.store.objects.contents import Content
from pachyderm.store.refusals import Refusal

DATUM = "default"
"""The datum tag of a file that was put without one."""
MOST = 1_000_000
"""Deletes and pieces in one write; pachd has no such limit."""

_record = struct.Struct("<HBI")
_piece = struct.Struct("<Q32s")


class Change:
    """What happens to one path.

    Attributes:
        replaced: what the commit has there goes first.
        pieces: what is appended, in order.
    """

    __slots__ = ("pieces", "replaced")

    def __init__(self, replaced: bool = False, pieces: list[Content] | None = None) -> None:
        self.replaced = replaced
        self.pieces: list[Content] = [] if pieces is None else pieces


class Folder:
    """Changes below one directory.

    Attributes:
        files: key (name, or name and datum tag) -> change.
        folders: name -> changes below it.
        swept: nothing below has a piece, so a sweep has nothing to do.
        expanded: every file that the commit has below is marked as replaced.
    """

    __slots__ = ("expanded", "files", "folders", "swept")

    def __init__(self) -> None:
        self.files: dict[bytes, Change] = {}
        self.folders: dict[bytes, Folder] = {}
        self.swept = True
        self.expanded = False


def key_of(name: str, datum: str) -> bytes:
    """The key of a file in its directory; the datum tag counts where it is not the usual one."""
    key = name.encode()
    return key if datum in ("", DATUM) else key + b"\0" + datum.encode().hex().encode()


def parse_key(key: bytes) -> tuple[str, str]:
    """The name and the datum tag of a file's key."""
    name, _, datum = key.partition(b"\0")
    return name.decode(), bytes.fromhex(datum.decode()).decode() if datum else DATUM


class Changes:
    """The changes of one write, by directory."""

    def __init__(self) -> None:
        self.root = Folder()
        self._count = 0

    def add(self, elements: list[str], datum: str, piece: Content) -> None:
        """Append to a file; `elements` is its path."""
        self._charge()
        self._at(elements, datum, fill=True).pieces.append(piece)

    def delete(self, elements: list[str], datum: str) -> None:
        """Delete a file."""
        self._charge()
        change = self._at(elements, datum, fill=False)
        change.replaced = True
        change.pieces.clear()

    def sweep(self, elements: list[str]) -> Folder | None:
        """Drop what this write put below a directory.

        Returns:
            the directory's changes, for the caller to mark what the commit has there; None where that was done before.
        """
        self._charge()
        folder = self.root
        done = folder.expanded
        for name in elements:
            folder = folder.folders.setdefault(name.encode(), Folder())
            done = done or folder.expanded
        _sweep(folder)
        return None if done else folder

    def __bool__(self) -> bool:
        return bool(self.root.files or self.root.folders)

    def encode(self) -> bytes:
        """The bytes that are stored with a file set."""
        out = []
        for path, change in walk(self.root, b""):
            out.append(_record.pack(len(path), change.replaced, len(change.pieces)))
            out.append(path)
            out.extend(_piece.pack(*piece) for piece in change.pieces)
        return zlib.compress(b"".join(out), 1)

    @classmethod
    def decode(cls, data: bytes) -> Changes:
        """Read back what `encode` made."""
        changes = cls()
        for path, change in decoded(data):
            *folders, key = path[1:].split(b"/")
            folder = changes.root
            for name in folders:
                folder = folder.folders.setdefault(name, Folder())
            folder.files[key] = change
        return changes

    def _charge(self) -> None:
        self._count += 1
        if self._count > MOST:
            import grpc

            raise Refusal(
                f"more than {MOST} changes in one write; send them in several", grpc.StatusCode.RESOURCE_EXHAUSTED
            )

    def _at(self, elements: list[str], datum: str, *, fill: bool) -> Change:
        folder = self.root
        if fill:
            folder.swept = False
        for name in elements[:-1]:
            key = name.encode()
            below = folder.folders.get(key)
            if below is None:
                below = folder.folders[key] = Folder()
            folder = below
            if fill:
                folder.swept = False
        return folder.files.setdefault(key_of(elements[-1], datum), Change())


def _sweep(folder: Folder) -> None:
    if folder.swept:
        return
    for key, change in list(folder.files.items()):
        change.pieces.clear()
        if not change.replaced:
            del folder.files[key]
    for below in folder.folders.values():
        _sweep(below)
    folder.swept = True


def walk(folder: Folder, prefix: bytes) -> Iterator[tuple[bytes, Change]]:
    """Every change below a directory with its full key (``/folder/name``, and the datum tag)."""
    for key in sorted(folder.files):
        yield prefix + b"/" + key, folder.files[key]
    for name in sorted(folder.folders):
        yield from walk(folder.folders[name], prefix + b"/" + name)


def decoded(data: bytes) -> Iterator[tuple[bytes, Change]]:
    """The changes in stored bytes, without putting them into directories."""
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
