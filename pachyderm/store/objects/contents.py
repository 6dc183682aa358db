"""The content of a file, identified by size and one hash: a single block, or a list of blocks beyond 1 MiB.

The identity depends on the bytes alone, however they were cut into messages.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from pachyderm.store.database.database import Database
from pachyderm.store.objects.block_writer import BlockWriter
from pachyderm.store.objects.blocks import BLOCK, DIGEST, LOCATED, Blocks, identify
from pachyderm.store.status_errors import data_loss


class Content(NamedTuple):
    """Identity of a file's content.

    Attributes:
        size: bytes.
        hash: 32 bytes, ``FileInfo.hash``: the id of the only block, or the hash of the joined ids of the blocks.
    """

    size: int
    hash: bytes


EMPTY = Content(0, identify(b""))
"""The content of an empty file; it has no block."""


class Contents:
    """Reads the recorded contents."""

    def __init__(self, database: Database, blocks: Blocks) -> None:
        self._database = database
        self._blocks = blocks

    def blocks_of(self, content: Content) -> list[bytes]:
        """Return the ids of the content's blocks, in order.

        Raises:
            StatusError: DATA_LOSS if the list is missing or damaged.
        """
        if content.size <= BLOCK:
            return [content.hash] if content.size else []
        with self._database.in_use() as connection:
            row = connection.execute("SELECT blocks FROM lists WHERE id=?", (content.hash,)).fetchone()
        if row is None:
            raise data_loss(f"object {content.hash.hex()} (a list of blocks) is missing")
        if hashlib.blake2b(row[0], digest_size=DIGEST).digest() != content.hash:
            raise data_loss(f"object {content.hash.hex()} (a list of blocks) is damaged")
        return cut(row[0])

    def read(self, content: Content, offset: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `offset` on, one verified block at a time."""
        if offset >= content.size:
            return
        for number, block in enumerate(self.blocks_of(content)):
            start = offset - number * BLOCK
            if start < BLOCK:
                data = self._blocks.read(block)
                yield data[start:] if start > 0 else data

    def read_each(self, contents: Iterable[Content]) -> Iterator[Iterator[bytes]]:
        """Yield the verified blocks of each content; faster than `read` for many small contents."""
        remaining = iter(contents)
        while group := list(islice(remaining, LOCATED)):
            located = self._blocks.locate([content.hash for content in group if 0 < content.size <= BLOCK])
            for content in group:
                location = located.get(content.hash)
                yield iter((self._blocks.read(content.hash, location),)) if location else self.read(content)


class ContentWriter:
    """Builds the contents of one write.

    Attributes:
        blocks: the writer of their blocks; seal and close it.
    """

    def __init__(self, database: Database, contents: Contents, blocks: Blocks) -> None:
        self._database = database
        self._contents = contents
        self._lists: dict[bytes, bytes] = {}
        self.blocks = BlockWriter(database, blocks)

    def builder(self) -> Builder:
        """Begin a new content."""
        return Builder(self)

    def join(self, parts: Sequence[Content]) -> Content:
        """Concatenate contents; an append to a long file reads and writes only its last block."""
        parts = [part for part in parts if part.size]
        if not parts:
            return EMPTY
        if len(parts) == 1:
            return parts[0]
        builder = self.builder()
        for part in parts:
            for block in self.blocks_of(part):
                builder.add_block(block, self)
        return builder.finish()

    def rely(self, content: Content) -> None:
        """Note that the write depends on a content of the store, which must not be removed before it is recorded.

        Raises:
            StatusError: DATA_LOSS if the content is missing or damaged.
        """
        blocks = self.blocks_of(content)
        for block in blocks:
            self.blocks.reuse(block)
        if len(blocks) > 1:
            self._lists[content.hash] = b"".join(blocks)

    def blocks_of(self, content: Content) -> list[bytes]:
        """Return the ids of the blocks of a content of this write or of the store."""
        if content.hash in self._lists:
            return cut(self._lists[content.hash])
        return self._contents.blocks_of(content)

    def listed(self, size: int, blocks: Sequence[bytes]) -> Content:
        """Return the content that consists of these blocks; `size` is in bytes."""
        if not blocks:
            return EMPTY
        if len(blocks) == 1:
            return Content(size, blocks[0])
        joined = b"".join(blocks)
        name = hashlib.blake2b(joined, digest_size=DIGEST).digest()
        self._lists[name] = joined
        return Content(size, name)

    def record(self, connection: sqlite3.Connection) -> None:
        """Name the blocks and lists in the tables, as part of the caller's write transaction."""
        self.blocks.record(connection)
        now = self._database.now()
        connection.executemany(
            "INSERT INTO lists VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET blocks=excluded.blocks "
            "WHERE blocks<>excluded.blocks",
            ((name, now, joined) for name, joined in self._lists.items()),
        )


class Builder:
    """Cuts a stream of bytes into blocks, independently of the pieces in which it arrives."""

    def __init__(self, writer: ContentWriter) -> None:
        self._writer = writer
        self._blocks: list[bytes] = []
        self._size = 0
        self._rest = bytearray()

    def add(self, data: bytes) -> None:
        """Append bytes."""
        self._size += len(data)
        if not self._rest and len(data) == BLOCK:
            self._blocks.append(self._writer.blocks.add(data))
            return
        self._rest += data
        while len(self._rest) >= BLOCK:
            self._blocks.append(self._writer.blocks.add(bytes(self._rest[:BLOCK])))
            del self._rest[:BLOCK]

    def add_block(self, block: bytes, source: ContentWriter) -> None:
        """Append an existing block; a full one at a block boundary is reused instead of stored again."""
        data = source.blocks.read(block)
        if not self._rest and len(data) == BLOCK:
            source.blocks.reuse(block)
            self._blocks.append(block)
            self._size += BLOCK
        else:
            self.add(data)

    def finish(self) -> Content:
        """Return the content."""
        if self._rest:
            self._blocks.append(self._writer.blocks.add(bytes(self._rest)))
            self._rest.clear()
        return self._writer.listed(self._size, self._blocks)


def cut(joined: bytes) -> list[bytes]:
    """Split a list of blocks into their ids."""
    return [joined[start : start + DIGEST] for start in range(0, len(joined), DIGEST)]
