"""The files that a commit or a file set shows: its base with its writes applied, in the order in which they closed.

It exists because the base of an open commit may itself be open; then the writes wait, and are applied when it is
finished.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.objects.changes import Changes, parse_key
from pachyderm.store.objects.contents import ContentWriter
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.pages import PageWriter
from pachyderm.store.objects.tree_diff import faults
from pachyderm.store.objects.trees import changed, entries
from pachyderm.store.refusals import Refusal, missing

NOTHING = -1
"""``applied`` of a commit whose base was not looked up yet."""
FORGOTTEN = -2
"""``applied`` of a commit whose files were given up."""


class Forgotten(Refusal):
    """The files of a commit, or those that it starts from, were given up."""

    def __init__(self) -> None:
        super().__init__("the commit is forgotten")


@dataclass(frozen=True)
class Base:
    """The nearest ancestor without an error.

    Attributes:
        row: the commit; None where there is none.
        ready: it is finished, or there is none.
    """

    row: CommitRow | None
    ready: bool


def base_of(connection: SqlConnection, row: CommitRow) -> Base:
    """Find the commit whose files a commit starts from."""
    parent = row.parent
    while parent is not None:
        above = rows.commit_by_id(connection, parent)
        if not above.error:
            return Base(above, above.finished is not None)
        parent = above.parent
    return Base(None, True)


def rests_on_forgotten(connection: SqlConnection, row: CommitRow) -> bool:
    """Whether a commit's files, or those that it would start from, were given up."""
    if row.applied == FORGOTTEN:
        return True
    if not row.error and row.finished is not None:
        return False
    base = base_of(connection, row).row
    return base is not None and base.applied == FORGOTTEN


def current(connection: SqlConnection, row: CommitRow) -> bool:
    """Whether the row's tree is what the commit shows now."""
    count = connection.execute('SELECT count(*) FROM layers WHERE "commit"=?', (row.id,)).fetchone()[0]
    return bool(row.applied == count)


def materialize(engine: Engine, connection: SqlConnection, row: CommitRow) -> CommitRow:
    """Bring the row's tree up to its writes; needs a writing transaction.

    Raises:
        Refusal: UNKNOWN where the base is not finished.
    """
    if current(connection, row):
        return row
    if rests_on_forgotten(connection, row):
        raise Forgotten
    base = base_of(connection, row)
    if not base.ready and base.row is not None:
        above, name = rows.commit_name(connection, base.row), rows.commit_name(connection, row)
        raise Refusal(f"base commit {above} for commit {name} unfinished")
    ground = base.row.tree if base.row else None
    tree, applied = (ground, 0) if row.applied == NOTHING else (row.tree, row.applied)
    layers = connection.execute('SELECT fileset FROM layers WHERE "commit"=? ORDER BY number', (row.id,)).fetchall()
    pages = PageWriter(engine.pages)
    for (fileset,) in layers[applied:]:
        tree = _apply(engine, connection, pages, tree, fileset)
    fault = faults(pages, ground, tree)
    size = sum(pages.load(tree).sizes) if tree else 0
    pages.record(connection)
    connection.execute(
        "UPDATE commits SET tree=?, applied=?, size=?, fault=? WHERE id=?", (tree, len(layers), size, fault, row.id)
    )
    return rows.commit_by_id(connection, row.id)


def fileset_tree(engine: Engine, fileset: str) -> bytes | None:
    """The topmost page of a file set read as a commit.

    Raises:
        Refusal: NOT_FOUND.
    """
    with engine.database.writing() as connection:
        tree, applied = check_fileset(engine, connection, fileset)
        if not applied:
            pages = PageWriter(engine.pages)
            tree = _apply(engine, connection, pages, None, fileset)
            pages.record(connection)
            connection.execute("UPDATE filesets SET tree=?, applied=1 WHERE id=?", (tree, fileset))
        return tree


def check_fileset(engine: Engine, connection: SqlConnection, fileset: str) -> tuple[bytes | None, int]:
    """Tree and whether it was applied, of a file set that has not expired.

    Raises:
        Refusal: NOT_FOUND.
    """
    row = connection.execute("SELECT tree, applied, expires FROM filesets WHERE id=?", (fileset,)).fetchone()
    if row is None or row[2] < engine.database.now():
        raise missing(f"file set {fileset[:64]} not found; it does not exist or has expired")
    return row[0], row[1]


def _apply(
    engine: Engine, connection: sqlite3.Connection, pages: PageWriter, tree: bytes | None, fileset: str
) -> bytes | None:
    parts = connection.execute("SELECT changes, tree FROM fileset_parts WHERE fileset=? ORDER BY number", (fileset,))
    writer = ContentWriter(engine.database, engine.contents, engine.blocks)
    recorded = False
    try:
        for encoded, whole in parts.fetchall():
            if encoded is not None:
                tree = changed(pages, tree, Changes.decode(encoded).root, writer.join)
            elif tree is None:
                tree = whole
            else:
                added = Changes()
                _collect(pages, whole, [], added)
                tree = changed(pages, tree, added.root, writer.join)
        writer.blocks.seal()
        writer.record(connection)
        recorded = True
    finally:
        writer.blocks.close(recorded)
    return tree


def _collect(pages: PageWriter, top: bytes | None, elements: list[str], added: Changes) -> None:
    from pachyderm.store.objects.contents import Content

    for key, size, name in entries(pages, top):
        if key.endswith(b"/"):
            _collect(pages, name, [*elements, key[:-1].decode()], added)
        else:
            path, datum = parse_key(key)
            added.add([*elements, path], datum, Content(size, name))
