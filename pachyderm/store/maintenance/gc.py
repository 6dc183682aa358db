"""`pix2pix store gc`: removes pages, blocks, packs and leftover files that no commit and no file set needs."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.database.schema import sync_folder, translated_errors
from pachyderm.store.maintenance.reachable import reachable
from pachyderm.store.objects.blocks import note_removal
from pachyderm.store.objects.engine import Engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collected:
    """Counts of what was removed; `bytes` includes file data, not pages."""

    blocks: int = 0
    pages: int = 0
    packs: int = 0
    filesets: int = 0
    bytes: int = 0


def collect(folder: Path, grace: float, clock: Callable[[], float] = time.time) -> Collected:
    """Remove what is unreachable and older than `grace` seconds.

    The collection is one write transaction and locks out all writers. A stream that is being uploaded meanwhile checks
    the blocks that it depends on when it is recorded, and is refused with ABORTED if one was removed.

    Raises:
        StoreError: the folder is not a store.
        StorageError: the disk is full or failed; nothing was removed, or the next collection removes the rest.
    """
    engine = Engine.open(folder, clock)
    try:
        with translated_errors(folder):
            with engine.database.writing() as connection:
                collected, obsolete = _collect(engine, connection, grace)
            # After the commit: until then the tables name these files.
            for path in obsolete:
                failpoint("gc.before_unlink")
                path.unlink(missing_ok=True)
                failpoint("gc.after_unlink")
            engine.database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        engine.close()
    return collected


def _collect(engine: Engine, connection: SqlConnection, grace: float) -> tuple[Collected, list[Path]]:
    now = engine.database.now()
    limit = now - int(grace * 1_000_000)
    filesets = _drop_filesets(connection, limit)
    needed = reachable(connection, limit)
    pages = [name for (name,) in connection.execute("SELECT id FROM pages") if name not in needed.pages]
    connection.executemany("DELETE FROM pages WHERE id=?", ((name,) for name in pages))
    blocks, size = 0, 0
    for table, keep in (("inlined", needed.blocks), ("lists", needed.lists)):
        data = "data" if table == "inlined" else "blocks"
        rows = connection.execute(f"SELECT id, length({data}) FROM {table} WHERE created<?", (limit,))
        dead = [(name, length) for name, length in rows.fetchall() if name not in keep]
        connection.executemany(f"DELETE FROM {table} WHERE id=?", ((name,) for name, _ in dead))
        blocks += len(dead)
        size += sum(length for _, length in dead)
    # Before the sweep: the packs that it takes out of the tables must stay until the transaction is committed.
    obsolete = _leftovers(engine, connection, limit)
    packs, in_packs, bytes_in_packs, emptied = _sweep_packs(engine, connection, limit, needed.blocks)
    obsolete += emptied
    note_removal(connection)
    return Collected(blocks + in_packs, len(pages), packs, filesets, size + bytes_in_packs), obsolete


def _drop_filesets(connection: SqlConnection, limit: int) -> int:
    where = "expires<? AND id NOT IN (SELECT fileset FROM layers)"
    connection.execute(f"DELETE FROM fileset_parts WHERE fileset IN (SELECT id FROM filesets WHERE {where})", (limit,))
    return connection.execute(f"DELETE FROM filesets WHERE {where}", (limit,)).rowcount


def _sweep_packs(
    engine: Engine, connection: SqlConnection, limit: int, needed: dict[bytes, str]
) -> tuple[int, int, int, list[Path]]:
    """Delete dead blocks and packs; a pack whose live blocks are half of it or less is rewritten.

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
        dead = [(row[0],) for row in rows if row[0] not in needed]
        connection.executemany("DELETE FROM blocks WHERE id=?", dead)
        blocks += len(dead)
        if alive and live_bytes * 2 > length:
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
    with (engine.blocks.packs / name).open("rb") as source, part.open("wb") as target:
        offset = 0
        places = []
        for block, start, length in sorted(alive, key=lambda row: row[1]):
            source.seek(start)
            target.write(source.read(length))
            places.append((offset, block))
            offset += length
        target.flush()
        os.fsync(target.fileno())
    part.rename(pack)
    sync_folder(engine.blocks.packs)
    number = connection.execute(
        "INSERT INTO packs VALUES (NULL, ?, ?, ?)", (new_name, size, engine.database.now())
    ).lastrowid
    connection.executemany("UPDATE blocks SET pack=?, offset=? WHERE id=?", ((number, *place) for place in places))


def _leftovers(engine: Engine, connection: SqlConnection, limit: int) -> list[Path]:
    """Find files that a process left behind before it could name them in the tables."""
    named = {name for (name,) in connection.execute("SELECT name FROM packs")}
    found = [path for path in engine.blocks.parts.iterdir() if path.stat().st_mtime * 1_000_000 < limit]
    for path in engine.blocks.packs.iterdir():
        if path.name not in named and path.stat().st_mtime * 1_000_000 < limit:
            # Within the transaction: a write that is about to name the pack waits for it, and then checks the file.
            path.unlink()
            logger.info("removed %s, which no write has recorded", path)
    return found
