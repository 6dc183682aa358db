"""Pages of sorted entries, each named by the hash of its bytes, that make up a directory.

It exists so that a commit shares with its parent what it did not change. A directory is a tree of pages whose borders
follow from the names alone (a name whose hash ends in zeros closes its page), so equal directories are equal pages
whatever their history, and one changed entry changes one page on each level.
"""

from __future__ import annotations

import hashlib
import sqlite3
import struct
import threading
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pachyderm.store.database.database import Database
from pachyderm.store.objects.blocks import DIGEST
from pachyderm.store.refusals import damaged

LEAF_BITS = 6
"""A leaf holds 2**6 entries on average."""
INNER_BITS = 5
"""An inner page holds 2**5 pages on average."""
CACHED = 8192
"""Pages that a process keeps decoded."""

_header = struct.Struct("<BI")


@dataclass(frozen=True)
class Page:
    """Entries in byte order of their keys.

    Attributes:
        level: 0 for a leaf, whose entries are files and directories; above, the entries are pages of the level below.
        keys: a leaf's names (a directory's ends in ``/``); else the last key of each page.
        sizes: bytes in the file, directory or page.
        hashes: 32 bytes for each entry, joined: a content, a directory's topmost page, or a page.
    """

    level: int
    keys: list[bytes]
    sizes: array[int]
    hashes: bytes

    def hash_at(self, number: int) -> bytes:
        """The hash of one entry."""
        return self.hashes[number * DIGEST : (number + 1) * DIGEST]

    def encode(self) -> bytes:
        """The bytes that are stored."""
        return _header.pack(self.level, len(self.keys)) + self.sizes.tobytes() + self.hashes + b"\n".join(self.keys)

    @classmethod
    def decode(cls, data: bytes) -> Page:
        """Read back what `encode` made."""
        level, count = _header.unpack_from(data)
        sizes = array("Q")
        middle = _header.size + 8 * count
        sizes.frombytes(data[_header.size : middle])
        end = middle + DIGEST * count
        return cls(level, data[end:].split(b"\n") if count else [], sizes, data[middle:end])


class Pages:
    """The pages of the store, with those decoded lately kept in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[bytes, Page] = {}
        self._lock = threading.Lock()

    def load(self, name: bytes) -> Page:
        """Read a page.

        Raises:
            Refusal: DATA_LOSS where it is missing or its hash differs.
        """
        page = self._cache.get(name)
        if page is not None:
            return page
        row = self._database.connection().execute("SELECT data FROM pages WHERE id=?", (name,)).fetchone()
        if row is None:
            raise damaged(f"page {name.hex()} is missing")
        if name_of(row[0]) != name:
            raise damaged(f"page {name.hex()} is damaged")
        page = Page.decode(row[0])
        with self._lock:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[name] = page
        return page


class PageWriter:
    """Pages of one change, readable before `record` puts them into the tables."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._new: dict[bytes, tuple[Page, bytes]] = {}

    def load(self, name: bytes) -> Page:
        """A page of this change or of the store."""
        found = self._new.get(name)
        return found[0] if found else self._pages.load(name)

    def save(self, page: Page) -> bytes:
        """Keep a page and return its name."""
        data = page.encode()
        name = name_of(data)
        self._new[name] = (page, data)
        return name

    def record(self, connection: sqlite3.Connection) -> None:
        """Put the pages into the tables."""
        connection.executemany(
            "INSERT OR IGNORE INTO pages VALUES (?, ?)", ((name, data) for name, (_, data) in self._new.items())
        )
        self._new.clear()


def name_of(data: bytes) -> bytes:
    """The name of a page."""
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


Entry = tuple[bytes, int, bytes]
"""Key, bytes, hash."""
Edit = tuple[bytes, tuple[int, bytes] | None]
"""Key and what it becomes: bytes and hash, or nothing."""


def edited(writer: PageWriter, top: bytes | None, edits: Sequence[Edit]) -> bytes | None:
    """Change entries of a directory.

    Args:
        writer: takes the new pages.
        top: the directory's topmost page; None for an empty one.
        edits: in byte order of their keys, each key once.

    Returns:
        the topmost page of the changed directory; None where nothing is left.
    """
    if not edits:
        return top
    build = _Build(writer)
    keys = [key for key, _ in edits]
    if top is None:
        for key, value in edits:
            if value is not None:
                build.push(0, (key, *value))
    else:
        _feed(build, top, edits, keys, 0, len(edits), last=True)
    return build.finish()


class _Build:
    """Closes pages level by level as their entries come in."""

    def __init__(self, writer: PageWriter) -> None:
        self.writer = writer
        self._open: list[list[Entry]] = [[]]
        self._count = [0]

    def push(self, level: int, entry: Entry) -> None:
        while len(self._open) <= level:
            self._open.append([])
            self._count.append(0)
        self._open[level].append(entry)
        self._count[level] += 1
        if _closes(entry[0], level):
            self._close(level)

    def clean_below(self, level: int) -> bool:
        return not any(self._open[:level])

    def finish(self) -> bytes | None:
        level = 0
        while level < len(self._open):
            if level and self._count[level] == 1 and not any(self._count[level + 1 :]):
                return self._lowest(self._open[level][0][2])
            if self._open[level]:
                self._close(level)
            level += 1
        return None

    def _close(self, level: int) -> None:
        entries, self._open[level] = self._open[level], []
        page = Page(
            level,
            [key for key, _, _ in entries],
            array("Q", [size for _, size, _ in entries]),
            b"".join([name for _, _, name in entries]),
        )
        self.push(level + 1, (entries[-1][0], sum(page.sizes), self.writer.save(page)))

    def _lowest(self, top: bytes) -> bytes:
        page = self.writer.load(top)
        while page.level and len(page.keys) == 1:
            top = page.hash_at(0)
            page = self.writer.load(top)
        return top


def _closes(key: bytes, level: int) -> bool:
    mixed = zlib.crc32(key) * 2654435761 & 0xFFFFFFFF
    if level == 0:
        return mixed & ((1 << LEAF_BITS) - 1) == 0
    bits = LEAF_BITS + level * INNER_BITS
    return bits < 32 and mixed & ((1 << bits) - 1) == 0


def _feed(
    build: _Build, name: bytes, edits: Sequence[Edit], keys: Sequence[bytes], low: int, high: int, *, last: bool
) -> None:
    page = build.writer.load(name)
    if page.level == 0:
        for entry in _merged(page, edits[low:high]):
            build.push(0, entry)
        return
    for number, key in enumerate(page.keys):
        final = last and number == len(page.keys) - 1
        end = high if final else bisect_left(keys, key + b"\0", low, high)
        child = page.hash_at(number)
        if low == end and build.clean_below(page.level):
            build.push(page.level, (key, page.sizes[number], child))
        else:
            _feed(build, child, edits, keys, low, end, last=final)
        low = end


def _merged(page: Page, edits: Sequence[Edit]) -> Iterator[Entry]:
    position = 0
    keys, sizes = page.keys, page.sizes
    for key, value in edits:
        while position < len(keys) and keys[position] < key:
            yield keys[position], sizes[position], page.hash_at(position)
            position += 1
        if position < len(keys) and keys[position] == key:
            position += 1
        if value is not None:
            yield (key, *value)
    while position < len(keys):
        yield keys[position], sizes[position], page.hash_at(position)
        position += 1
