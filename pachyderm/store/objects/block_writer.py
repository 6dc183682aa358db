"""The blocks of one write: small writes go into SQLite, larger ones into one pack file.

One pack per write makes a commit of 100,000 files cost one fsync. The order is what durability depends on: pack synced,
renamed, folder synced, and only then named in the tables by the caller's transaction.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import grpc

from pachyderm.store import private_files
from pachyderm.store.database.database import Database
from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.database.schema import sync_folder
from pachyderm.store.objects.blocks import BLOCK, Blocks, identify, last_removal
from pachyderm.store.status_errors import StatusError, data_loss

logger = logging.getLogger(__name__)

INLINE = 1 << 16
"""Maximum number of new bytes in a write whose blocks are stored inside SQLite, without a pack."""


class BlockWriter:
    """Collects the blocks of one write and makes them durable before `record` names them in the tables.

    Call `add` and `reuse`, then `seal`, then `record` in a write transaction, and `close` in any case.

    Args:
        database: the store's tables.
        blocks: the blocks that the store has already.
    """

    def __init__(self, database: Database, blocks: Blocks) -> None:
        self._database = database
        self._blocks = blocks
        self._pending: dict[bytes, bytes] = {}
        self._placed: dict[bytes, tuple[int, int]] = {}
        self._reused: set[bytes] = set()
        self._damaged: list[bytes] = []
        self._bytes = 0
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._name = ""
        self._removal = last_removal(database.connection())

    def add(self, data: bytes) -> bytes:
        """Add a block of at most `BLOCK` bytes and return its id; one that the store has, but damaged, is replaced."""
        block = identify(data)
        if block in self._pending or block in self._placed or block in self._reused:
            return block
        if self._blocks.known(block):
            if self._blocks.intact(block):
                self._reused.add(block)
                return block
            self._damaged.append(block)
        if self._file is None and self._bytes + len(data) <= INLINE:
            self._pending[block] = data
            self._bytes += len(data)
            return block
        file = self._open()
        for pending, content in self._pending.items():
            self._write(file, pending, content)
        self._pending.clear()
        self._write(file, block, data)
        return block

    def read(self, block: bytes) -> bytes:
        """Return a block of this write or of the store."""
        if block in self._pending:
            return self._pending[block]
        if block in self._placed and self._file is not None:
            offset, size = self._placed[block]
            self._file.flush()
            return os.pread(self._file.fileno(), size, offset)
        return self._blocks.read(block)

    def reuse(self, block: bytes) -> None:
        """Note that the write depends on a block of the store, which must not be removed before it is recorded.

        Raises:
            StatusError: DATA_LOSS if the block is missing or damaged.
        """
        if block in self._pending or block in self._placed or block in self._reused:
            return
        if not self._blocks.known(block) or not self._blocks.intact(block):
            raise data_loss(f"object {block.hex()} is missing or damaged")
        self._reused.add(block)

    def seal(self) -> None:
        """Make the pack durable under its final name.

        Call it before the transaction that calls `record`: an fsync may take long, and a transaction locks all writers.
        """
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
            raise _removed() from error
        self._path = target
        failpoint("pack.after_rename")
        failpoint("pack.before_folder_sync")
        sync_folder(self._blocks.packs)
        failpoint("pack.after_folder_sync")

    def record(self, connection: sqlite3.Connection) -> None:
        """Name the blocks in the tables, as part of the caller's write transaction; its rollback removes the pack.

        Raises:
            StatusError: ABORTED if a collection or a repair removed a block that this write depends on.
        """
        now = self._database.now()
        if last_removal(connection) != self._removal and not all(map(self._blocks.known, self._reused)):
            raise _removed()
        for table in ("inlined", "blocks"):
            connection.executemany(f"DELETE FROM {table} WHERE id=?", ((block,) for block in self._damaged))
        connection.executemany(
            "INSERT OR IGNORE INTO inlined VALUES (?, ?, ?)",
            ((block, now, data) for block, data in self._pending.items()),
        )
        if self._placed:
            if self._path is None or not self._path.exists():
                raise _removed()
            self._database.on_rollback(partial(self._path.unlink, missing_ok=True))
            pack = connection.execute(
                "INSERT INTO packs VALUES (NULL, ?, ?, ?)", (self._name, self._bytes, now)
            ).lastrowid
            connection.executemany("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?, ?)", self._rows(pack))

    def close(self, recorded: bool) -> None:
        """Close the pack; delete it unless `record` was called, whose transaction then decides about it."""
        file, path = self._file, self._path
        self._file = self._path = None
        try:
            if file is not None:
                file.close()
        except OSError:
            # Closing flushes what a failed write left in the buffer, and fails again. If nothing was recorded, the
            # data is no longer needed and the first error is already being raised.
            if recorded:
                raise
            logger.debug("cannot close %s", path, exc_info=True)
        finally:
            if path is not None and not recorded:
                path.unlink(missing_ok=True)

    def _rows(self, pack: int | None) -> Iterator[tuple[bytes, int | None, int, int]]:
        for block, (offset, size) in self._placed.items():
            yield block, pack, offset, size

    def _open(self) -> BinaryIO:
        if self._file is None:
            self._bytes = 0
            self._name = f"{uuid.uuid4().hex}.pack"
            failpoint("pack.before_open")
            self._path = self._blocks.parts / self._name
            self._file = private_files.create(self._path, buffering=BLOCK)
        return self._file

    def _write(self, file: BinaryIO, block: bytes, data: bytes) -> None:
        failpoint("pack.before_write")
        file.write(data)
        failpoint("pack.after_write")
        self._placed[block] = (self._bytes, len(data))
        self._bytes += len(data)


def _removed() -> StatusError:
    return StatusError(
        "`store gc` or `store fsck --repair` removed data that this write relies on while it was being sent; "
        "nothing was written; send it again",
        grpc.StatusCode.ABORTED,
    )
