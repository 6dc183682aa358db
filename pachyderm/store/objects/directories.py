"""The directories of a commit: look up, list, walk, change and hash.

The cost of a change is proportional to the change, not to the number of files.
"""

from __future__ import annotations

import hashlib
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from pachyderm.store.objects.blocks import DIGEST
from pachyderm.store.objects.changes import Change, DirectoryChanges, key_of, parse_key
from pachyderm.store.objects.contents import Content
from pachyderm.store.objects.prolly_tree import Edit, Entry, Page, Pages, PageWriter, edited

Join = Callable[[list[Content]], Content]
"""Concatenates contents."""


class Loader(Protocol):
    """Loads pages: `Pages` or `PageWriter`."""

    def load(self, name: bytes) -> Page:
        """Return the page with this id."""
        ...


@dataclass(frozen=True, slots=True)
class Node:
    """A file or a directory of a commit.

    Attributes:
        path: absolute; a directory's path ends in a slash.
        size: bytes; of a directory, the sum of everything below it.
        hash: hash of a file's content, or id of a directory's root page; None for a directory without a page.
        datum: datum tag of a file; empty for a directory.
    """

    path: str
    size: int
    hash: bytes | None
    datum: str

    @property
    def is_directory(self) -> bool:
        """Whether the node is a directory."""
        return self.path.endswith("/")

    @property
    def content(self) -> Content:
        """The content of a file."""
        return Content(self.size, self.hash or b"")


def entries(pages: Loader, top: bytes | None, start: bytes = b"") -> Iterator[Entry]:
    """Yield the entries of one directory in byte order, from the key `start` on."""
    if top is None:
        return
    page = pages.load(top)
    first = bisect_left(page.keys, start) if start else 0
    if page.level:
        for number in range(first, len(page.keys)):
            yield from entries(pages, page.hash_at(number), start if number == first else b"")
        return
    sizes, hashes = page.sizes, page.hashes
    for number in range(first, len(page.keys)):
        yield page.keys[number], sizes[number], hashes[number * DIGEST : (number + 1) * DIGEST]


def find(pages: Loader, top: bytes | None, key: bytes) -> tuple[int, bytes] | None:
    """Return size and hash of the entry with this key, or None."""
    while top is not None:
        page = pages.load(top)
        number = bisect_left(page.keys, key)
        if number == len(page.keys):
            return None
        if page.level == 0:
            return (page.sizes[number], page.hash_at(number)) if page.keys[number] == key else None
        top = page.hash_at(number)
    return None


def directory_at(pages: Loader, top: bytes | None, elements: list[str]) -> tuple[int, bytes] | None:
    """Return size and root page of the directory at a path, or None."""
    if top is None:
        return None
    if not elements:
        return sum(pages.load(top).sizes), top
    found: tuple[int, bytes] | None = None
    for name in elements:
        found = find(pages, top, name.encode() + b"/")
        if found is None:
            return None
        top = found[1]
    return found


def files_at(pages: Loader, top: bytes | None, elements: list[str], datum: str = "") -> list[Node]:
    """Return the file at a path; several if several datums have written it.

    Args:
        pages: loads pages.
        top: root page of the root directory.
        elements: the path.
        datum: datum tag of the file; empty for any.
    """
    if not elements:
        return []
    parent = directory_at(pages, top, elements[:-1])
    if parent is None:
        return []
    name = elements[-1].encode()
    path = "/" + "/".join(elements)
    found = []
    for key, size, content in entries(pages, parent[1], name):
        if key != name and not key.startswith(name + b"\0"):
            break
        tag = parse_key(key)[1]
        if not datum or datum == tag:
            found.append(Node(path, size, content, tag))
    return found


def children(pages: Loader, top: bytes | None, prefix: str, start: bytes = b"") -> Iterator[Node]:
    """Yield the files and directories directly in a directory, in byte order.

    Args:
        pages: loads pages.
        top: root page of the directory.
        prefix: the directory's path, ending in a slash.
        start: first key to yield.
    """
    for key, size, content in entries(pages, top, start):
        if b"\0" in key:
            name, datum = parse_key(key)
            yield Node(prefix + name, size, content, datum)
        else:
            yield Node(prefix + key.decode(), size, content, "" if key.endswith(b"/") else "default")


def walk(pages: Loader, top: bytes | None, prefix: str, start: str = "") -> Iterator[Node]:
    """Yield everything below a directory, each directory before its content.

    Args:
        pages: loads pages.
        top: root page of the directory.
        prefix: the directory's path, ending in a slash.
        start: first path to yield, in byte order.
    """
    key = b""
    if start.startswith(prefix) and start != prefix:
        name, slash, _ = start[len(prefix) :].partition("/")
        key = (name + slash).encode()
    elif start > prefix and not start.startswith(prefix):
        return
    for node in children(pages, top, prefix, key):
        if not node.is_directory:
            yield node
        else:
            if node.path >= start:
                yield node
            yield from walk(pages, node.hash, node.path, start if start > node.path else "")


class DirectoryHashes:
    """Computes and caches pachd's hash of a directory: the hash of the joined hashes of its children."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._known: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def of(self, top: bytes | None) -> bytes:
        """Return the hash of the directory with this root page; None is the empty directory."""
        if top is None:
            return hashlib.blake2b(b"", digest_size=DIGEST).digest()
        known = self._known.get(top)
        if known is None:
            running = hashlib.blake2b(digest_size=DIGEST)
            self._add(running, top)
            known = running.digest()
            with self._lock:
                if len(self._known) > 100_000:
                    self._known.clear()
                self._known[top] = known
        return known

    def _add(self, running: hashlib.blake2b, top: bytes) -> None:
        page = self._pages.load(top)
        if page.level:
            for number in range(len(page.keys)):
                self._add(running, page.hash_at(number))
        elif not any(key.endswith(b"/") for key in page.keys):
            running.update(page.hashes)
        else:
            for number, key in enumerate(page.keys):
                name = page.hash_at(number)
                running.update(self.of(name) if key.endswith(b"/") else name)


def changed(writer: PageWriter, top: bytes | None, folder: DirectoryChanges, join: Join) -> bytes | None:
    """Apply changes to a directory.

    Args:
        writer: receives the new pages.
        top: root page of the directory; None for an empty one.
        folder: the changes.
        join: concatenates the existing content and the appended pieces.

    Returns:
        root page of the changed directory; None if it is empty.
    """
    edits: list[Edit] = []
    for key, change in folder.files.items():
        parts = list(change.pieces)
        if not change.replaced and parts:
            before = find(writer, top, key)
            if before is not None:
                parts.insert(0, Content(*before))
        if parts:
            edits.append((key, join(parts)))
        elif change.replaced:
            edits.append((key, None))
    for name, child in folder.folders.items():
        key = name + b"/"
        before = find(writer, top, key)
        after = changed(writer, before[1] if before else None, child, join)
        if after is None:
            if before:
                edits.append((key, None))
        elif before is None or after != before[1]:
            edits.append((key, (sum(writer.load(after).sizes), after)))
    edits.sort(key=lambda edit: edit[0])
    return edited(writer, top, edits)


def mark_replaced(pages: Loader, top: bytes | None, folder: DirectoryChanges, tag: str) -> None:
    """Mark every file with this datum tag below a directory as replaced."""
    for key, _, child in entries(pages, top):
        if key.endswith(b"/"):
            mark_replaced(pages, child, folder.folders.setdefault(key[:-1], DirectoryChanges()), tag)
        else:
            name, datum = parse_key(key)
            if datum == tag:
                change = folder.files.setdefault(key_of(name, datum), Change())
                change.replaced = True
    folder.expanded = True
