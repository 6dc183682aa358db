"""The directory tree of a commit or file set: its base with its writes applied, in the order in which they closed.

The base of an open commit may be open itself; the writes are then kept as layers until it is finished.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.objects.changes import Changes, parse_key
from pachyderm.store.objects.contents import ContentWriter
from pachyderm.store.objects.directories import changed, entries
from pachyderm.store.objects.directory_diff import faults
from pachyderm.store.objects.engine import Engine
from pachyderm.store.objects.prolly_tree import PageWriter
from pachyderm.store.status_errors import StatusError, not_found

NOTHING = -1
"""``applied`` of a commit whose base has not been looked up yet."""
FORGOTTEN = -2
"""``applied`` of a commit whose files were discarded by ForgetCommit."""


class ForgottenError(StatusError):
    """The files of a commit, or those that it starts from, were discarded by ForgetCommit."""

    def __init__(self) -> None:
        super().__init__("the commit is forgotten")


@dataclass(frozen=True)
class Base:
    """The commit whose files another one starts from: its nearest ancestor without an error.

    Attributes:
        row: the commit; None for a commit that starts empty.
        ready: whether the base is finished, or there is none.
    """

    row: CommitRow | None
    ready: bool


def base_of(connection: SqlConnection, row: CommitRow) -> Base:
    """Return the commit whose files a commit starts from."""
    number = row.parent
    while number is not None:
        ancestor = rows.commit_by_id(connection, number)
        if not ancestor.error:
            return Base(ancestor, ancestor.finished is not None)
        number = ancestor.parent
    return Base(None, True)


def rests_on_forgotten(connection: SqlConnection, row: CommitRow) -> bool:
    """Whether a commit's files, or those that it would start from, were forgotten."""
    if row.applied == FORGOTTEN:
        return True
    if not row.error and row.finished is not None:
        return False
    base = base_of(connection, row).row
    return base is not None and base.applied == FORGOTTEN


def current(connection: SqlConnection, row: CommitRow) -> bool:
    """Whether the row's tree includes all writes to the commit."""
    count = connection.execute('SELECT count(*) FROM layers WHERE "commit"=?', (row.id,)).fetchone()[0]
    return bool(row.applied == count)


def materialize(engine: Engine, connection: SqlConnection, row: CommitRow) -> CommitRow:
    """Apply the commit's outstanding writes to its tree, in a write transaction; return the updated row.

    Raises:
        StatusError: UNKNOWN if the base is unfinished.
    """
    if current(connection, row):
        return row
    if rests_on_forgotten(connection, row):
        raise ForgottenError
    base = base_of(connection, row)
    if not base.ready and base.row is not None:
        base_name, name = rows.commit_name(connection, base.row), rows.commit_name(connection, row)
        raise StatusError(f"base commit {base_name} for commit {name} unfinished")
    base_tree = base.row.tree if base.row else None
    tree, applied = (base_tree, 0) if row.applied == NOTHING else (row.tree, row.applied)
    layers = connection.execute('SELECT fileset FROM layers WHERE "commit"=? ORDER BY number', (row.id,)).fetchall()
    if engine.database.refusal is not None:
        if layers[applied:]:
            engine.database.check_writable()
        return row._replace(tree=tree, size=base.row.size if base.row and row.applied == NOTHING else row.size)
    pages = PageWriter(engine.pages)
    for (fileset,) in layers[applied:]:
        tree = _apply(engine, connection, pages, tree, fileset)
    fault = faults(pages, base_tree, tree)
    size = sum(pages.load(tree).sizes) if tree else 0
    pages.record(connection)
    connection.execute(
        "UPDATE commits SET tree=?, applied=?, size=?, fault=? WHERE id=?", (tree, len(layers), size, fault, row.id)
    )
    return rows.commit_by_id(connection, row.id)


def fileset_tree(engine: Engine, fileset: str) -> bytes | None:
    """Return the root page of a file set, read as if it were a commit.

    Raises:
        StatusError: NOT_FOUND.
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
    """Return the tree of an unexpired file set, and whether it has been computed (0 or 1).

    Raises:
        StatusError: NOT_FOUND.
    """
    row = connection.execute("SELECT tree, applied, expires FROM filesets WHERE id=?", (fileset,)).fetchone()
    if row is None or row[2] < engine.database.now():
        raise not_found(f"file set {fileset[:64]} not found; it does not exist or has expired")
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
