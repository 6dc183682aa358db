"""Content-addressed blocks of at most 1 MiB: small writes inside SQLite, all else in one pack file for each write.

It exists so that 100,000 pictures cost one fsync and not 100,000, that equal content is kept once in all repos, and
that every byte is compared with its hash when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import grpc

from pachyderm.store.database.database import Database
from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.database.schema import sync_folder
from pachyderm.store.refusals import Refusal, damaged

logger = logging.getLogger(__name__)

BLOCK = 1 << 20
"""Bytes in every block of a file but its last."""
INLINE = 1 << 16
"""Up to so many new bytes, the blocks of one write are kept in SQLite and no pack is made."""
DIGEST = 32
"""Bytes in an id."""
LOCATED = 256
"""Most blocks that are located at once."""


class Location(NamedTuple):
    """Where a block is: the pack's name, and offset and size in bytes."""

    pack: str
    offset: int
    size: int


def identify(data: bytes | bytearray | memoryview) -> bytes:
    """The id of a block: BLAKE2b-256 of BLAKE2b-256, which is pachd's hash of a file of less than 1 MB."""
    return hashlib.blake2b(hashlib.blake2b(data, digest_size=DIGEST).digest(), digest_size=DIGEST).digest()


class _Pack:
    """An open pack file; closed when the last thread lets go of it."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.handle = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        handle, self.handle = getattr(self, "handle", -1), -1
        if handle >= 0:
            os.close(handle)


class Blocks:
    """Blocks that were recorded, for reading.

    Args:
        database: the store's tables.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()
        self.packs = database.folder / "objects" / "packs"
        self.parts = database.folder / "objects" / "parts"

    def known(self, block: bytes) -> bool:
        """Whether a block with this id is recorded."""
        found = self._database.connection().execute(
            "SELECT 1 FROM blocks WHERE id=?1 UNION ALL SELECT 1 FROM inlined WHERE id=?1 LIMIT 1", (block,)
        )
        return found.fetchone() is not None

    def locate(self, blocks: Sequence[bytes]) -> dict[bytes, Location]:
        """Where the packed ones of up to `LOCATED` blocks are, by one query."""
        marks = ",".join("?" * len(blocks))
        query = (
            "SELECT blocks.id, packs.name, offset, blocks.size FROM blocks JOIN packs ON packs.id=pack "
            f"WHERE blocks.id IN ({marks})"
        )
        rows = self._database.connection().execute(query, blocks)
        return {block: Location(name, offset, size) for block, name, offset, size in rows}

    def read(self, block: bytes, location: Location | None = None) -> bytes:
        """The content of a block.

        Args:
            block: its id.
            location: where it was when `locate` was asked; None where that is unknown.

        Raises:
            Refusal: DATA_LOSS where it is missing or its hash differs.
        """
        data = None
        if location is not None:
            with contextlib.suppress(FileNotFoundError):  # gc may have moved it to another pack since
                data = self._pread(location)
        if data is None:
            data = self._fetch(block)
        if data is None:
            raise damaged(f"object {block.hex()} is missing")
        if identify(data) != block:
            raise damaged(f"object {block.hex()} is damaged")
        return data

    def _fetch(self, block: bytes) -> bytes | None:
        connection = self._database.connection()
        for _ in range(2):
            location = self.locate([block]).get(block)
            if location is None:
                inlined = connection.execute("SELECT data FROM inlined WHERE id=?", (block,)).fetchone()
                return inlined[0] if inlined else None
            try:
                return self._pread(location)
            except FileNotFoundError:
                continue  # gc may have moved the block to another pack since the row was read
        return None

    def _pread(self, location: Location) -> bytes:
        return os.pread(self._pack(location.pack).handle, location.size, location.offset)

    def _pack(self, name: str) -> _Pack:
        pack: _Pack | None = getattr(self._local, "pack", None)
        if pack is None or pack.name != name:
            pack = _Pack(name, self.packs / name)
            self._local.pack = pack
        return pack


class BlockWriter:
    """The blocks of one write, on the disk before `record` names them in the tables.

    Args:
        database: the store's tables.
        blocks: where they will be read from.
    """

    def __init__(self, database: Database, blocks: Blocks) -> None:
        self._database = database
        self._blocks = blocks
        self._pending: dict[bytes, bytes] = {}
        self._placed: dict[bytes, tuple[int, int]] = {}
        self._reused: set[bytes] = set()
        self._bytes = 0
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._name = ""
        self._collections = self._generation(database.connection())

    def add(self, data: bytes) -> bytes:
        """Take a block of at most `BLOCK` bytes and return its id."""
        block = identify(data)
        if block in self._pending or block in self._placed or block in self._reused:
            return block
        if self._blocks.known(block):
            self._reused.add(block)
            return block
        if self._file is None and self._bytes + len(data) <= INLINE:
            self._pending[block] = data
            self._bytes += len(data)
            return block
        file = self._open()
        for waiting, content in self._pending.items():
            self._write(file, waiting, content)
        self._pending.clear()
        self._write(file, block, data)
        return block

    def read(self, block: bytes) -> bytes:
        """A block of this write or of the store."""
        if block in self._pending:
            return self._pending[block]
        if block in self._placed and self._file is not None:
            offset, size = self._placed[block]
            self._file.flush()
            return os.pread(self._file.fileno(), size, offset)
        return self._blocks.read(block)

    def reuse(self, block: bytes) -> None:
        """Note that the write names a block which the store has already."""
        self._reused.add(block)

    def seal(self) -> None:
        """Bring the pack to the disk under its name; call it outside the transaction that calls `record`."""
        if self._file is None or self._path is None:
            return
        self._file.flush()
        failpoint("pack.before_sync")
        os.fsync(self._file.fileno())
        failpoint("pack.after_sync")
        target = self._blocks.packs / self._name
        failpoint("pack.before_rename")
        try:
            self._path.rename(target)
        except FileNotFoundError as error:
            raise _collected() from error
        self._path = target
        failpoint("pack.after_rename")
        failpoint("pack.before_folder_sync")
        sync_folder(self._blocks.packs)
        failpoint("pack.after_folder_sync")

    def record(self, connection: sqlite3.Connection) -> None:
        """Name the blocks in the tables; the caller's transaction makes them durable.

        Raises:
            Refusal: UNAVAILABLE where a collection removed a block that this write relied on.
        """
        now = self._database.now()
        if self._generation(connection) != self._collections and not all(map(self._blocks.known, self._reused)):
            raise _collected()
        connection.executemany(
            "INSERT OR IGNORE INTO inlined VALUES (?, ?, ?)",
            ((block, now, data) for block, data in self._pending.items()),
        )
        if self._placed:
            if self._path is None or not self._path.exists():
                raise _collected()
            pack = connection.execute(
                "INSERT INTO packs VALUES (NULL, ?, ?, ?)", (self._name, self._bytes, now)
            ).lastrowid
            connection.executemany("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?, ?)", self._rows(pack))

    def close(self, recorded: bool) -> None:
        """Let go of the file; remove it where its blocks were not recorded."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                # What could not be written is still in the buffer. It is not wanted any more, and the error of the
                # write is on its way already.
                if recorded:
                    raise
                logger.debug("%s did not close", self._path, exc_info=True)
            self._file = None
        if self._path is not None and not recorded:
            self._path.unlink(missing_ok=True)
        self._path = None

    def _rows(self, pack: int | None) -> Iterator[tuple[bytes, int | None, int, int]]:
        for block, (offset, size) in self._placed.items():
            yield block, pack, offset, size

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._bytes = 0
            self._name = f"{uuid.uuid4().hex}.pack"
            failpoint("pack.before_open")
            self._path = self._blocks.parts / self._name
            self._file = self._path.open("w+b", buffering=BLOCK)
        return self._file

    def _write(self, file: BinaryIO, block: bytes, data: bytes) -> None:
        failpoint("pack.before_write")
        file.write(data)
        failpoint("pack.after_write")
        self._placed[block] = (self._bytes, len(data))
        self._bytes += len(data)

    def _generation(self, connection: sqlite3.Connection) -> str:
        row = connection.execute("SELECT value FROM cluster WHERE key='collections'").fetchone()
        return row[0] if row else ""


def _collected() -> Refusal:
    return Refusal("a collection ran during this write; send it again", grpc.StatusCode.UNAVAILABLE)
