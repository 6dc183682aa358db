"""Directories as prolly trees: content-addressed pages of sorted entries with content-defined boundaries.

A key whose hash ends in enough zeros closes its page, so page boundaries follow from the keys alone: equal directories
have equal pages whatever their history, a commit shares unchanged pages with its parent, and a changed entry replaces
one page per level.
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
from pachyderm.store.status_errors import data_loss

LEAF_BITS = 6
"""A leaf page holds 2**6 entries on average."""
INNER_BITS = 5
"""An inner page has 2**5 children on average."""
CACHED = 8192
"""Maximum number of decoded pages in a store's cache."""

_header = struct.Struct("<BI")


@dataclass(frozen=True)
class Page:
    """Entries in byte order of their keys.

    Attributes:
        level: 0 for a leaf, whose entries are files and directories; the entries of level n are pages of level n - 1.
        keys: in a leaf the names (a directory's ends in ``/``), otherwise the last key of each child page.
        sizes: bytes in each file, directory or child page.
        hashes: 32 bytes per entry, joined: hash of a content, or id of a directory's root page or of a child page.
    """

    level: int
    keys: list[bytes]
    sizes: array[int]
    hashes: bytes

    def hash_at(self, number: int) -> bytes:
        """Return the hash of the entry with this index."""
        return self.hashes[number * DIGEST : (number + 1) * DIGEST]

    def encode(self) -> bytes:
        """Serialize the page; the hash of the result is its id."""
        return _header.pack(self.level, len(self.keys)) + self.sizes.tobytes() + self.hashes + b"\n".join(self.keys)

    @classmethod
    def decode(cls, data: bytes) -> Page:
        """Parse the result of `encode`."""
        level, count = _header.unpack_from(data)
        sizes = array("Q")
        middle = _header.size + 8 * count
        sizes.frombytes(data[_header.size : middle])
        end = middle + DIGEST * count
        return cls(level, data[end:].split(b"\n") if count else [], sizes, data[middle:end])


class Pages:
    """Reads the store's pages, with a cache of decoded ones; for any number of threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._cache: dict[bytes, Page] = {}
        self._lock = threading.Lock()

    def load(self, name: bytes) -> Page:
        """Return a page.

        Raises:
            StatusError: DATA_LOSS if the page is missing or does not match its id.
        """
        page = self._cache.get(name)
        if page is not None:
            return page
        with self._database.in_use() as connection:
            row = connection.execute("SELECT data FROM pages WHERE id=?", (name,)).fetchone()
        if row is None:
            raise data_loss(f"page {name.hex()} is missing")
        if name_of(row[0]) != name:
            raise data_loss(f"page {name.hex()} is damaged")
        page = Page.decode(row[0])
        with self._lock:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            self._cache[name] = page
        return page


class PageWriter:
    """Collects the pages of one change, which can be loaded before `record` stores them."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._new: dict[bytes, tuple[Page, bytes]] = {}

    def load(self, name: bytes) -> Page:
        """Return a page of this change or of the store."""
        found = self._new.get(name)
        return found[0] if found else self._pages.load(name)

    def save(self, page: Page) -> bytes:
        """Add a page and return its id."""
        data = page.encode()
        name = name_of(data)
        self._new[name] = (page, data)
        return name

    def record(self, connection: sqlite3.Connection) -> None:
        """Store the pages, as part of the caller's write transaction; a damaged page with the same id is replaced."""
        connection.executemany(
            "INSERT INTO pages VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET data=excluded.data "
            "WHERE data<>excluded.data",
            ((name, data) for name, (_, data) in self._new.items()),
        )
        self._new.clear()


def name_of(data: bytes) -> bytes:
    """Return the id of a page with these bytes."""
    return hashlib.blake2b(data, digest_size=DIGEST).digest()


Entry = tuple[bytes, int, bytes]
"""Key, size in bytes, hash."""
Edit = tuple[bytes, tuple[int, bytes] | None]
"""Key and its new size and hash; None deletes the key."""


def edited(writer: PageWriter, top: bytes | None, edits: Sequence[Edit]) -> bytes | None:
    """Apply edits to a directory.

    Args:
        writer: receives the new pages.
        top: id of the directory's root page; None for an empty directory.
        edits: in byte order of their keys, each key once.

    Returns:
        id of the new root page; None if the directory is empty.
    """
    if not edits:
        return top
    builder = _Builder(writer)
    keys = [key for key, _ in edits]
    if top is None:
        for key, value in edits:
            if value is not None:
                builder.push(0, (key, *value))
    else:
        _feed(builder, top, edits, keys, 0, len(edits), last=True)
    return builder.finish()


class _Builder:
    """Builds a tree bottom-up from sorted entries, closing a page at each boundary."""

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

    def at_boundary(self, level: int) -> bool:
        """Whether no page below this level is open, so that an existing page can be taken over unread."""
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
        """Skip root pages with a single child, so that equal directories have equal roots."""
        page = self.writer.load(top)
        while page.level and len(page.keys) == 1:
            top = page.hash_at(0)
            page = self.writer.load(top)
        return top


def _closes(key: bytes, level: int) -> bool:
    """Whether a key ends its page; the multiplier (Knuth's) spreads CRC32 over the low bits."""
    mixed = zlib.crc32(key) * 2654435761 & 0xFFFFFFFF
    if level == 0:
        return mixed & ((1 << LEAF_BITS) - 1) == 0
    bits = LEAF_BITS + level * INNER_BITS
    return bits < 32 and mixed & ((1 << bits) - 1) == 0


def _feed(
    builder: _Builder, name: bytes, edits: Sequence[Edit], keys: Sequence[bytes], low: int, high: int, *, last: bool
) -> None:
    """Push a page with the edits ``low:high`` applied; pages without edits are taken over whole where possible."""
    page = builder.writer.load(name)
    if page.level == 0:
        for entry in _merged(page, edits[low:high]):
            builder.push(0, entry)
        return
    for number, key in enumerate(page.keys):
        final = last and number == len(page.keys) - 1
        end = high if final else bisect_left(keys, key + b"\0", low, high)
        child = page.hash_at(number)
        if low == end and builder.at_boundary(page.level):
            builder.push(page.level, (key, page.sizes[number], child))
        else:
            _feed(builder, child, edits, keys, low, end, last=final)
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
