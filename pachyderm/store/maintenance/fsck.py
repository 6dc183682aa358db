"""Checks a store's folder: every object's hash, every reference, every rule of the commit graph; repairs what is safe.

It exists because it is how a person, and every test, knows that nothing was lost.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.database.schema import sync_folder
from pachyderm.store.graph.update import unit
from pachyderm.store.maintenance.graph_check import graph_problems
from pachyderm.store.maintenance.reachable import reachable
from pachyderm.store.objects.blocks import DIGEST, identify
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.pages import name_of

BAD = "bad"
"""The subfolder that damaged objects are moved to."""


@dataclass(frozen=True)
class StoreProblem:
    """Something that is wrong.

    Attributes:
        code: ``DAMAGED``, ``MISSING``, ``DATABASE``, ``GRAPH`` or ``STUCK``.
        where: the object or the commit.
        what: what is wrong, and who is affected.
        repair: what `--repair` does, or what a person can do.
        repaired: it was done.
    """

    code: str
    where: str
    what: str
    repair: str
    repaired: bool = False


def check(folder: Path, repair: bool = False, clock: Callable[[], float] = time.time) -> list[StoreProblem]:
    """Check everything, and repair what is safe where that is asked for.

    Args:
        folder: the store.
        repair: move damaged objects aside, finish commits that wait for nothing.
        clock: seconds since 1970.

    Raises:
        StoreError: the folder is no store.
        StorageError: the disk failed.
    """
    engine = Engine.open(folder, clock)
    try:
        problems = problems_of(engine)
        return [_repaired(engine, problem) for problem in problems] if repair else problems
    finally:
        engine.close()


def problems_of(engine: Engine) -> list[StoreProblem]:
    """Check everything in an open store."""
    with engine.database.reading() as connection:
        problems = list(_database(connection))
        if not problems:
            problems += _objects(engine, connection)
            problems += _references(engine, connection)
            problems += [
                StoreProblem(code, where, what, "--repair finishes it" if code == "STUCK" else "report this defect")
                for code, where, what in graph_problems(connection)
            ]
    return problems


def _database(connection: SqlConnection) -> Iterator[StoreProblem]:
    hint = "restore the folder from a backup"
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
        broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    except sqlite3.DatabaseError as error:
        found, broken = [str(error)], []
    for text in found:
        if text != "ok":
            yield StoreProblem("DATABASE", "store.db", text, hint)
    for table, number, other, _ in broken:
        yield StoreProblem("DATABASE", "store.db", f"row {number} of {table} names a row that {other} lacks", hint)


def _objects(engine: Engine, connection: SqlConnection) -> Iterator[StoreProblem]:
    hint = "--repair moves it aside; put the file again"
    for number, name in connection.execute("SELECT id, name FROM packs ORDER BY id").fetchall():
        yield from _pack(engine, connection, number, name, hint)
    for block, data in connection.execute("SELECT id, data FROM inlined"):
        if identify(data) != block:
            yield StoreProblem("DAMAGED", f"object {block.hex()}", "its content is not what its hash says", hint)
    for name, blocks in connection.execute("SELECT id, blocks FROM lists"):
        if hashlib.blake2b(blocks, digest_size=DIGEST).digest() != name:
            yield StoreProblem("DAMAGED", f"list {name.hex()}", "its content is not what its hash says", hint)
    for name, data in connection.execute("SELECT id, data FROM pages"):
        if name_of(data) != name:
            yield StoreProblem("DAMAGED", f"page {name.hex()}", "its content is not what its hash says", hint)


def _pack(engine: Engine, connection: SqlConnection, number: int, name: str, hint: str) -> Iterator[StoreProblem]:
    blocks = connection.execute(
        "SELECT id, offset, size FROM blocks WHERE pack=? ORDER BY offset", (number,)
    ).fetchall()
    try:
        handle = os.open(engine.blocks.packs / name, os.O_RDONLY)
    except OSError as error:
        if blocks:
            yield StoreProblem(
                "MISSING",
                f"pack {name}",
                f"{error.strerror}; {len(blocks)} objects are lost",
                "restore it from a backup",
            )
        return
    try:
        for block, offset, size in blocks:
            data = os.pread(handle, size, offset)
            if identify(data) != block:
                what = "is cut off" if len(data) < size else "its content is not what its hash says"
                yield StoreProblem("DAMAGED", f"object {block.hex()}", f"{what} (pack {name}, offset {offset})", hint)
    finally:
        os.close(handle)


def _references(engine: Engine, connection: SqlConnection) -> Iterator[StoreProblem]:
    hint = "put the file again, or drop the commit"
    found = reachable(connection, engine.database.now())
    for kind, name, who in found.missing:
        yield StoreProblem("MISSING", f"{kind} {name.hex()}", f"needed by {who}", hint)
    for kind, name, what in found.broken:
        yield StoreProblem("DAMAGED", f"{kind} {name.hex() if kind == 'page' else name.decode()}", what, hint)
    for block, who in found.blocks.items():
        if not engine.blocks.known(block):
            yield StoreProblem("MISSING", f"object {block.hex()}", f"needed by {who}", hint)
    orphans = "SELECT fileset FROM layers WHERE fileset NOT IN (SELECT id FROM filesets)"
    for (name,) in connection.execute(orphans):
        yield StoreProblem("MISSING", f"file set {name}", "needed by a commit", "restore the folder from a backup")


def _repaired(engine: Engine, problem: StoreProblem) -> StoreProblem:
    if problem.code == "STUCK":
        with unit(engine) as work:
            for (number,) in work.connection.execute(
                "SELECT id FROM commits WHERE finishing IS NOT NULL AND finished IS NULL ORDER BY id"
            ).fetchall():
                work.settle(number)
        return replace(problem, repaired=True)
    kind, _, name = problem.where.partition(" ")
    if problem.code != "DAMAGED" or kind not in ("object", "list", "page"):
        return problem
    _move_aside(engine, kind, bytes.fromhex(name))
    return replace(problem, repaired=True)


def _move_aside(engine: Engine, kind: str, name: bytes) -> None:
    """Keep what is there of a damaged object in a file, and forget it, so that the same content can be put again."""
    folder = engine.database.folder / BAD
    folder.mkdir(exist_ok=True)
    with engine.database.writing() as connection:
        data = _bytes_of(engine, connection, kind, name)
        failpoint("repair.before_move")
        target = folder / f"{kind}-{name.hex()}"
        with target.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        sync_folder(folder)
        failpoint("repair.after_move")
        for table in {"object": ("blocks", "inlined"), "list": ("lists",), "page": ("pages",)}[kind]:
            connection.execute(f"DELETE FROM {table} WHERE id=?", (name,))


def _bytes_of(engine: Engine, connection: SqlConnection, kind: str, name: bytes) -> bytes:
    column, table = {"object": ("data", "inlined"), "list": ("blocks", "lists"), "page": ("data", "pages")}[kind]
    row = connection.execute(f"SELECT {column} FROM {table} WHERE id=?", (name,)).fetchone()
    if row is not None:
        return bytes(row[0])
    place = connection.execute(
        "SELECT packs.name, offset, blocks.size FROM blocks JOIN packs ON packs.id=pack WHERE blocks.id=?", (name,)
    ).fetchone()
    if place is None:
        return b""
    with (engine.blocks.packs / place[0]).open("rb") as file:
        file.seek(place[1])
        return file.read(place[2])
