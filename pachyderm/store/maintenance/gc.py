"""Removes what no commit and no file set needs: pages, blocks, packs, and files that a crash left behind.

It exists because commits that are dropped, and writes that never ended, leave their bytes in the folder.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.database.schema import sync_folder
from pachyderm.store.maintenance.reachable import reachable
from pachyderm.store.objects.engine import Engine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Collected:
    """What was removed; `bytes` counts data, not pages."""

    blocks: int = 0
    pages: int = 0
    packs: int = 0
    filesets: int = 0
    bytes: int = 0


def collect(folder: Path, grace: float, clock: Callable[[], float] = time.time) -> Collected:
    """Remove what is unreachable and older than `grace` seconds.

    Nobody writes meanwhile: the collection is one writing transaction. A write whose bytes are on their way is not
    harmed: what it counted on is looked at again when it is recorded, and it is refused if that is gone.

    Raises:
        StoreError: the folder is no store.
        StorageError: the disk failed.
    """
    engine = Engine.open(folder, clock)
    try:
        with engine.database.writing() as connection:
            done, doomed = _collect(engine, connection, grace)
        for path in doomed:
            failpoint("gc.before_unlink")
            path.unlink(missing_ok=True)
            failpoint("gc.after_unlink")
        engine.database.connection().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        engine.close()
    return done


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
    packs, in_packs, bytes_in_packs, doomed = _sweep_packs(engine, connection, limit, needed.blocks)
    doomed += _leftovers(engine, connection, limit)
    connection.execute(
        "INSERT INTO cluster VALUES ('collections', ?) ON CONFLICT (key) DO UPDATE SET value=excluded.value",
        (uuid.uuid4().hex,),
    )
    return Collected(blocks + in_packs, len(pages), packs, filesets, size + bytes_in_packs), doomed


def _drop_filesets(connection: SqlConnection, limit: int) -> int:
    where = "expires<? AND id NOT IN (SELECT fileset FROM layers)"
    connection.execute(f"DELETE FROM fileset_parts WHERE fileset IN (SELECT id FROM filesets WHERE {where})", (limit,))
    return connection.execute(f"DELETE FROM filesets WHERE {where}", (limit,)).rowcount


def _sweep_packs(
    engine: Engine, connection: SqlConnection, limit: int, needed: dict[bytes, str]
) -> tuple[int, int, int, list[Path]]:
    packs, blocks, size, doomed = 0, 0, 0, []
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
        doomed.append(engine.blocks.packs / name)
        packs += 1
        size += length - live_bytes
    return packs, blocks, size, doomed


def _move(engine: Engine, connection: SqlConnection, name: str, alive: list[tuple[bytes, int, int]], size: int) -> None:
    """Copy the live blocks of a pack into a new one."""
    fresh = f"{uuid.uuid4().hex}.pack"
    part = engine.blocks.parts / fresh
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
    part.rename(engine.blocks.packs / fresh)
    sync_folder(engine.blocks.packs)
    number = connection.execute(
        "INSERT INTO packs VALUES (NULL, ?, ?, ?)", (fresh, size, engine.database.now())
    ).lastrowid
    connection.executemany("UPDATE blocks SET pack=?, offset=? WHERE id=?", ((number, *place) for place in places))


def _leftovers(engine: Engine, connection: SqlConnection, limit: int) -> list[Path]:
    """Files that a process left behind before it could name them in the tables."""
    named = {name for (name,) in connection.execute("SELECT name FROM packs")}
    found = [path for path in engine.blocks.parts.iterdir() if path.stat().st_mtime * 1_000_000 < limit]
    for path in engine.blocks.packs.iterdir():
        if path.name not in named and path.stat().st_mtime * 1_000_000 < limit:
            path.unlink()  # inside the transaction: a write that wants to name it now must wait, and then looks
            logger.info("removed %s, which no write ever named", path)
    return found
