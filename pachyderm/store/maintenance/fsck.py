"""`pix2pix store fsck`: checks every object's hash, every reference and the commit graph, and repairs what is safe."""

from __future__ import annotations

import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pachyderm.store import private_files
from pachyderm.store.database.failpoints import failpoint
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.database.schema import sync_folder, translated_errors
from pachyderm.store.graph.graph_update import graph_update
from pachyderm.store.maintenance.graph_check import graph_problems
from pachyderm.store.maintenance.reachable import reachable
from pachyderm.store.objects.blocks import identify, note_removal
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.prolly_tree import name_of

BAD = "bad"
"""Subfolder to which damaged objects are moved."""


@dataclass(frozen=True)
class StoreProblem:
    """A problem in a store.

    Attributes:
        code: ``DAMAGED``, ``MISSING``, ``DATABASE``, ``GRAPH`` or ``STUCK``.
        where: the object, branch or commit.
        what: description of the problem, and what it affects.
        repair: the repair that `--repair` performs, or that the user can.
        repaired: whether the repair was performed.
    """

    code: str
    where: str
    what: str
    repair: str
    repaired: bool = False


def check(folder: Path, repair: bool = False, clock: Callable[[], float] = time.time) -> list[StoreProblem]:
    """Check a store, and with `repair` repair what is safe.

    Args:
        folder: the store.
        repair: move damaged objects aside, and finish commits that wait for nothing.
        clock: seconds since 1970.

    Raises:
        StoreError: the folder is not a store, or cannot be written and is to be repaired.
        StorageError: the disk failed, or is full and the store is to be repaired.
    """
    engine = Engine.open(folder, clock)
    try:
        if repair and engine.database.refusal is not None:
            raise engine.database.refusal
        with translated_errors(folder):
            problems = problems_of(engine)
            return [_repaired(engine, problem) for problem in problems] if repair else problems
    finally:
        engine.close()


def problems_of(engine: Engine) -> list[StoreProblem]:
    """Check an open store; the graph and the objects only if the database itself is intact."""
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
    hint = "put the file again with --resend; --repair moves it aside"
    for number, name in connection.execute("SELECT id, name FROM packs ORDER BY id").fetchall():
        yield from _pack(engine, connection, number, name, hint)
    for block, data in connection.execute("SELECT id, data FROM inlined"):
        if identify(data) != block:
            yield StoreProblem("DAMAGED", f"object {block.hex()}", "its content does not match its hash", hint)
    for name, blocks in connection.execute("SELECT id, blocks FROM lists"):
        if name_of(blocks) != name:
            yield StoreProblem("DAMAGED", f"list {name.hex()}", "its content does not match its hash", hint)
    for name, data in connection.execute("SELECT id, data FROM pages"):
        if name_of(data) != name:
            yield StoreProblem("DAMAGED", f"page {name.hex()}", "its content does not match its hash", hint)


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
                what = "is truncated" if len(data) < size else "its content does not match its hash"
                yield StoreProblem("DAMAGED", f"object {block.hex()}", f"{what} (pack {name}, offset {offset})", hint)
    finally:
        os.close(handle)


def _references(engine: Engine, connection: SqlConnection) -> Iterator[StoreProblem]:
    hint = "put the file again with --resend, or drop the commit"
    found = reachable(connection, engine.database.now())
    for kind, name, user in found.missing:
        yield StoreProblem("MISSING", f"{kind} {name.hex()}", f"needed by {user}", hint)
    for kind, name, what in found.broken:
        yield StoreProblem("DAMAGED", f"{kind} {name.hex() if kind == 'page' else name.decode()}", what, hint)
    for block, user in found.blocks.items():
        if not engine.blocks.known(block):
            yield StoreProblem("MISSING", f"object {block.hex()}", f"needed by {user}", hint)
    orphans = "SELECT fileset FROM layers WHERE fileset NOT IN (SELECT id FROM filesets)"
    for (name,) in connection.execute(orphans):
        yield StoreProblem("MISSING", f"file set {name}", "needed by a commit", "restore the folder from a backup")


def _repaired(engine: Engine, problem: StoreProblem) -> StoreProblem:
    if problem.code == "STUCK":
        with graph_update(engine) as update:
            for (number,) in update.connection.execute(
                "SELECT id FROM commits WHERE finishing IS NOT NULL AND finished IS NULL ORDER BY id"
            ).fetchall():
                update.settle(number)
        return replace(problem, repaired=True)
    kind, _, name = problem.where.partition(" ")
    if problem.code != "DAMAGED" or kind not in ("object", "list", "page"):
        return problem
    _move_aside(engine, kind, bytes.fromhex(name))
    return replace(problem, repaired=True)


def _move_aside(engine: Engine, kind: str, name: bytes) -> None:
    """Save the bytes of a damaged object to a file and remove it from the tables, so that it can be put again.

    A write that was in progress may have replaced the object since it was checked, so it is checked again.
    """
    folder = engine.database.folder / BAD
    private_files.make_folder(folder)
    sync_folder(engine.database.folder)
    with engine.database.writing() as connection:
        for table, data in _damaged_copies(engine, connection, kind, name):
            failpoint("repair.before_move")
            target = folder / f"{kind}-{name.hex()}"
            if target.exists():
                target = folder / f"{kind}-{name.hex()}-{uuid.uuid4().hex}"
            engine.database.on_rollback(partial(target.unlink, missing_ok=True))
            with private_files.create(target) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            sync_folder(folder)
            failpoint("repair.after_move")
            connection.execute(f"DELETE FROM {table} WHERE id=?", (name,))
            note_removal(connection)


def _damaged_copies(engine: Engine, connection: SqlConnection, kind: str, name: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the table and the bytes of each copy of an object that does not match its hash."""
    column, table = {"object": ("data", "inlined"), "list": ("blocks", "lists"), "page": ("data", "pages")}[kind]
    row = connection.execute(f"SELECT {column} FROM {table} WHERE id=?", (name,)).fetchone()
    hash_of = identify if kind == "object" else name_of
    if row is not None and hash_of(row[0]) != name:
        yield table, bytes(row[0])
    location = engine.blocks.locate([name]).get(name) if kind == "object" else None
    if location is None:
        return
    with (engine.blocks.packs / location.pack).open("rb") as file:
        file.seek(location.offset)
        data = file.read(location.size)
    if identify(data) != name:
        yield "blocks", data
