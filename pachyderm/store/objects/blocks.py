"""Content-addressed blocks of at most 1 MiB: their ids, where they are stored, and verified reads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pachyderm.store.database.database import Database
from pachyderm.store.status_errors import StatusError, data_loss

BLOCK = 1 << 20
"""Bytes in a block; only the last block of a file is shorter."""
DIGEST = 32
"""Bytes in a hash."""
LOCATED = 256
"""Maximum number of blocks in one call of `Blocks.locate`."""
REMEMBERED = 1 << 18
"""Maximum number of blocks that a process remembers as intact."""


class Location(NamedTuple):
    """Where a block is stored.

    Attributes:
        pack: name of the pack file.
        offset, size: in bytes.
    """

    pack: str
    offset: int
    size: int


def identify(data: bytes | bytearray | memoryview) -> bytes:
    """Return a block's id: BLAKE2b-256 of the BLAKE2b-256 of its bytes, pachd's hash of a file of less than 1 MB."""
    return hashlib.blake2b(hashlib.blake2b(data, digest_size=DIGEST).digest(), digest_size=DIGEST).digest()


def last_removal(connection: sqlite3.Connection) -> str:
    """Return an identifier of the last transaction that removed recorded blocks; empty if none did."""
    row = connection.execute("SELECT value FROM cluster WHERE key='collections'").fetchone()
    return row[0] if row else ""


def note_removal(connection: sqlite3.Connection) -> None:
    """Make the writes that are in progress look up the blocks that they rely on again, in any process.

    Call it in each transaction that removes recorded blocks.
    """
    connection.execute(
        "INSERT INTO cluster VALUES ('collections', ?) ON CONFLICT (key) DO UPDATE SET value=excluded.value",
        (uuid.uuid4().hex,),
    )


class _Pack:
    """An open pack file, closed when the last reference goes."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.handle = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        handle, self.handle = getattr(self, "handle", -1), -1
        if handle >= 0:
            os.close(handle)


class Blocks:
    """Reads the recorded blocks: small writes lie inside SQLite, larger ones in pack files.

    Args:
        database: the store's tables.

    Attributes:
        packs: folder of complete packs, which never change.
        parts: folder of packs that are being written.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._local = threading.local()
        self._intact: set[bytes] = set()
        self.packs = database.folder / "objects" / "packs"
        self.parts = database.folder / "objects" / "parts"

    def known(self, block: bytes) -> bool:
        """Whether a block with this id is recorded; its bytes are not checked."""
        query = "SELECT 1 FROM blocks WHERE id=?1 UNION ALL SELECT 1 FROM inlined WHERE id=?1 LIMIT 1"
        with self._database.in_use() as connection:
            return connection.execute(query, (block,)).fetchone() is not None

    def intact(self, block: bytes) -> bool:
        """Whether the bytes of a recorded block match its id; a process reads each block once."""
        if block in self._intact:
            return True
        try:
            self.read(block)
        except (StatusError, OSError):
            return False
        return True

    def locate(self, blocks: Sequence[bytes]) -> dict[bytes, Location]:
        """Return the locations of those blocks that are in packs; at most `LOCATED` ids, one query."""
        marks = ",".join("?" * len(blocks))
        query = (
            "SELECT blocks.id, packs.name, offset, blocks.size FROM blocks JOIN packs ON packs.id=pack "
            f"WHERE blocks.id IN ({marks})"
        )
        with self._database.in_use() as connection:
            rows = connection.execute(query, blocks)
            return {block: Location(name, offset, size) for block, name, offset, size in rows}

    def read(self, block: bytes, location: Location | None = None) -> bytes:
        """Return the bytes of a block, verified against its id.

        Args:
            block: id.
            location: result of an earlier `locate`, which may be outdated; None to look the block up.

        Raises:
            StatusError: DATA_LOSS if the block is missing or does not match its id.
        """
        data = None
        if location is not None:
            with contextlib.suppress(FileNotFoundError):  # a collection may have moved it to another pack since
                data = self._pread(location)
        if data is None:
            data = self._fetch(block)
        if data is None:
            raise data_loss(f"object {block.hex()} is missing")
        if identify(data) != block:
            self._intact.discard(block)
            raise data_loss(f"object {block.hex()} is damaged")
        if len(self._intact) >= REMEMBERED:
            self._intact.clear()
        self._intact.add(block)
        return data

    def _fetch(self, block: bytes) -> bytes | None:
        for _ in range(2):
            location = self.locate([block]).get(block)
            if location is None:
                with self._database.in_use() as connection:
                    inlined = connection.execute("SELECT data FROM inlined WHERE id=?", (block,)).fetchone()
                return inlined[0] if inlined else None
            try:
                return self._pread(location)
            except FileNotFoundError:
                continue  # a collection moved the block to another pack after the row was read
        return None

    def _pread(self, location: Location) -> bytes:
        return os.pread(self._pack(location.pack).handle, location.size, location.offset)

    def _pack(self, name: str) -> _Pack:
        pack: _Pack | None = getattr(self._local, "pack", None)
        if pack is None or pack.name != name:
            pack = _Pack(name, self.packs / name)
            self._local.pack = pack
        return pack
