"""`pix2pix store gc`: removes pages, blocks, packs and leftover files that no commit and no file set needs."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TypeVar

from pachyderm.errors import FullError
from pachyderm.store import private_files
from pachyderm.store.database import reserve
from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.database.schema import sync_folder, translated_errors
from pachyderm.store.maintenance.reachable import reachable
from pachyderm.store.objects.blocks import note_removal
from pachyderm.store.objects.engine import Engine

T = TypeVar("T")

logger = logging.getLogger(__name__)


FIRST_STEP = 50
"""Number of rows in the first transaction on a full disk; its log fits into `reserve.SIZE`."""


@dataclass(frozen=True)
class Collected:
    """Counts of what was removed; `bytes` includes file data, not pages."""

    blocks: int = 0
    pages: int = 0
    packs: int = 0
    filesets: int = 0
    bytes: int = 0

    def __add__(self, other: Collected) -> Collected:
        return Collected(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


def collect(folder: Path, grace: float, clock: Callable[[], float] = time.time) -> Collected:
    """Remove what is unreachable and older than `grace` seconds, and what writers that have ended left behind.

    The collection is one write transaction and locks out all writers. A stream that is being uploaded meanwhile checks
    the blocks that it depends on when it is recorded, and is refused with ABORTED if one was removed. On a full disk,
    the reserved space is used, and the collection is several transactions, each of which frees space for the next one.

    Raises:
        StoreError: the folder is not a store, or cannot be written.
        StorageError: the disk failed, or is full and nothing can be removed; the next collection removes the rest.
    """
    removed = Collected(0, 0, *_remove_parts(folder))
    engine = _open(folder, clock)
    try:
        with translated_errors(folder):
            try:
                removed += _step(engine, grace, _Budget())
            except (sqlite3.Error, OSError):
                removed += _in_steps(engine, grace)
            engine.database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            reserve.keep(folder)
    finally:
        engine.close()
    return removed


def _remove_parts(folder: Path) -> tuple[int, int, int]:
    """Remove the unfinished packs of writers that have ended: number of packs, 0 file sets, bytes."""
    packs = size = 0
    parts = folder / "objects" / "parts"
    for path in parts.iterdir() if parts.is_dir() else ():
        with translated_errors(folder):
            length = path.stat().st_size
            if private_files.remove_abandoned(path):
                packs, size = packs + 1, size + length
    return packs, 0, size


def _open(folder: Path, clock: Callable[[], float]) -> Engine:
    """Open the store, using the reserved space if the disk is full."""
    engine = Engine.open(folder, clock)
    if isinstance(engine.database.refusal, FullError):
        engine.close()
        reserve.release(folder)
        engine = Engine.open(folder, clock)
    if engine.database.refusal is not None:
        engine.close()
        raise engine.database.refusal
    return engine


class _Budget:
    """The number of rows that a transaction may still delete.

    Attributes:
        left: rows; infinite for a whole collection.
        spent: whether there were more rows to delete.
    """

    def __init__(self, left: float = math.inf) -> None:
        self.left = left
        self.spent = False

    @property
    def whole(self) -> bool:
        """Whether the transaction is a whole collection."""
        return math.isinf(self.left)

    def take(self, rows: list[T]) -> list[T]:
        """Return the rows that may be deleted."""
        if len(rows) <= self.left:
            self.left -= len(rows)
            return rows
        self.spent = True
        taken, self.left = rows[: int(self.left)], 0
        return taken


def _in_steps(engine: Engine, grace: float) -> Collected:
    """Collect in transactions that grow while there is space for them."""
    removed = Collected()
    reserve.release(engine.database.folder)
    rows, factor = FIRST_STEP, 2.0
    while True:
        engine.database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        budget = _Budget(rows)
        try:
            removed += _step(engine, grace, budget)
        except (sqlite3.Error, OSError):
            if rows == FIRST_STEP:
                raise
            rows, factor = max(FIRST_STEP, rows // 2), 1.0
            continue
        if not budget.spent:
            return removed
        rows = int(rows * factor)


def _step(engine: Engine, grace: float, budget: _Budget) -> Collected:
    with engine.database.writing() as connection:
        collected, obsolete = _collect(engine, connection, grace, budget)
    # After the commit: until then the tables name these files.
    for path in obsolete:
        failpoint("gc.before_unlink")
        path.unlink(missing_ok=True)
        failpoint("gc.after_unlink")
    return collected


def _collect(engine: Engine, connection: SqlConnection, grace: float, budget: _Budget) -> tuple[Collected, list[Path]]:
    now = engine.database.now()
    limit = now - int(grace * 1_000_000)
    filesets = _drop_filesets(connection, limit)
    needed = reachable(connection, limit)
    # Before the sweep: the packs that it takes out of the tables must stay until the transaction is committed.
    obsolete = _leftovers(engine, connection, limit)
    packs, in_packs, bytes_in_packs, emptied = _sweep_packs(engine, connection, limit, needed.blocks, budget)
    obsolete += emptied
    pages = budget.take([name for (name,) in connection.execute("SELECT id FROM pages") if name not in needed.pages])
    connection.executemany("DELETE FROM pages WHERE id=?", ((name,) for name in pages))
    blocks, size = 0, 0
    for table, keep in (("inlined", needed.blocks), ("lists", needed.lists)):
        data = "data" if table == "inlined" else "blocks"
        rows = connection.execute(f"SELECT id, length({data}) FROM {table} WHERE created<?", (limit,))
        dead = budget.take([(name, length) for name, length in rows.fetchall() if name not in keep])
        connection.executemany(f"DELETE FROM {table} WHERE id=?", ((name,) for name, _ in dead))
        blocks += len(dead)
        size += sum(length for _, length in dead)
    note_removal(connection)
    return Collected(blocks + in_packs, len(pages), packs, filesets, size + bytes_in_packs), obsolete


def _drop_filesets(connection: SqlConnection, limit: int) -> int:
    where = "expires<? AND id NOT IN (SELECT fileset FROM layers)"
    connection.execute(f"DELETE FROM fileset_parts WHERE fileset IN (SELECT id FROM filesets WHERE {where})", (limit,))
    return connection.execute(f"DELETE FROM filesets WHERE {where}", (limit,)).rowcount


def _sweep_packs(
    engine: Engine, connection: SqlConnection, limit: int, needed: dict[bytes, str], budget: _Budget
) -> tuple[int, int, int, list[Path]]:
    """Delete dead blocks and packs; a whole collection rewrites a pack whose live blocks are half of it or less.

    Returns:
        number of packs, blocks and bytes removed, and the files to delete.
    """
    packs, blocks, size, obsolete = 0, 0, 0, []
    for number, name, length in connection.execute(
        "SELECT id, name, size FROM packs WHERE created<?", (limit,)
    ).fetchall():
        rows = connection.execute("SELECT id, offset, size FROM blocks WHERE pack=?", (number,)).fetchall()
        alive = [row for row in rows if row[0] in needed]
        live_bytes = sum(row[2] for row in alive)
        if len(alive) == len(rows) and live_bytes * 2 > length:
            continue
        dead = budget.take([(row[0],) for row in rows if row[0] not in needed])
        connection.executemany("DELETE FROM blocks WHERE id=?", dead)
        blocks += len(dead)
        if budget.spent or (alive and (live_bytes * 2 > length or not budget.whole)):
            continue
        if alive:
            _move(engine, connection, name, alive, live_bytes)
        connection.execute("DELETE FROM packs WHERE id=?", (number,))
        obsolete.append(engine.blocks.packs / name)
        packs += 1
        size += length - live_bytes
    return packs, blocks, size, obsolete


def _move(engine: Engine, connection: SqlConnection, name: str, alive: list[tuple[bytes, int, int]], size: int) -> None:
    """Copy the live blocks of a pack into a new one."""
    new_name = f"{uuid.uuid4().hex}.pack"
    part, pack = engine.blocks.parts / new_name, engine.blocks.packs / new_name
    for path in (part, pack):
        engine.database.on_rollback(partial(path.unlink, missing_ok=True))
    with (engine.blocks.packs / name).open("rb") as source, private_files.create(part) as target:
        offset = 0
        places = []
        for block, start, length in sorted(alive, key=lambda row: row[1]):
            source.seek(start)
            target.write(source.read(length))
            places.append((offset, block))
            offset += length
        target.flush()
        os.fsync(target.fileno())
        part.rename(pack)  # before its lock is released
    sync_folder(engine.blocks.packs)
    number = connection.execute(
        "INSERT INTO packs VALUES (NULL, ?, ?, ?)", (new_name, size, engine.database.now())
    ).lastrowid
    connection.executemany("UPDATE blocks SET pack=?, offset=? WHERE id=?", ((number, *place) for place in places))


def _leftovers(engine: Engine, connection: SqlConnection, limit: int) -> list[Path]:
    """Find files that a process left behind before it could name them in the tables."""
    named = {name for (name,) in connection.execute("SELECT name FROM packs")}
    found = [path for path in engine.blocks.parts.iterdir() if _is_old(path, limit)]
    for path in engine.blocks.packs.iterdir():
        if path.name in named:
            continue
        # Within the transaction: a write that is about to name the pack waits for it, and then checks the file.
        removed = private_files.remove_abandoned(path)
        if not removed and _is_old(path, limit):
            path.unlink()
            removed = True
        if removed:
            logger.info("removed %s, which no write has recorded", path)
    return found


def _is_old(path: Path, limit: int) -> bool:
    """Whether a file that may have a writer is older than `limit`, where locks do not show whether it has one."""
    try:
        return not private_files.is_locked(path) and path.stat().st_mtime * 1_000_000 < limit
    except FileNotFoundError:  # its writer has removed or renamed it
        return False
