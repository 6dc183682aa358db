"""File sets: writes that belong to no commit yet, made, read, renewed and added to commits.

It exists because a file set is how a result is published in one step: it is checked against the commit when it is
added, not when it was begun, so a late writer cannot harm a finished commit.
"""

from __future__ import annotations

from typing import Any

from pachyderm.store.database import rows
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph.update import GraphUpdate, unit
from pachyderm.store.graph.views import base_of, check_fileset, materialize, rests_on_forgotten
from pachyderm.store.names import new_id
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal

LIFE = 600
"""Seconds that a file set is kept."""
LONGEST_LIFE = 1800
"""Seconds that it can be kept at most without another renewal."""

Part = tuple[bytes | None, bytes | None]
"""Encoded changes, or the topmost page of a whole tree."""


def store(engine: Engine, connection: SqlConnection, parts: list[Part], life: int = LIFE) -> str:
    """Keep a file set for so many seconds, and for as long as it is a write of a commit; returns its id."""
    name = new_id()
    expires = engine.database.now() + life * 1_000_000 if life else 0
    connection.execute("INSERT INTO filesets VALUES (?, ?, NULL, 0)", (name, expires))
    connection.executemany(
        "INSERT INTO fileset_parts VALUES (?, ?, ?, ?)", ((name, number, *part) for number, part in enumerate(parts))
    )
    return name


def attach(work: GraphUpdate, row: CommitRow, fileset: str) -> None:
    """Make a file set the last write of an open commit."""
    number = work.connection.execute(
        'SELECT coalesce(max(number) + 1, 0) FROM layers WHERE "commit"=?', (row.id,)
    ).fetchone()[0]
    work.connection.execute("INSERT INTO layers VALUES (?, ?, ?)", (row.id, number, fileset))
    if base_of(work.connection, row).ready:
        materialize(work.engine, work.connection, row)


def add(engine: Engine, message: Any, fileset: str) -> None:
    """Add a file set to an open commit.

    Raises:
        Refusal: the commit was finished, is an alias, or the file set is not there.
    """
    with unit(engine) as work:
        check_fileset(engine, work.connection, fileset)
        attach(work, rows.pick_for_writing(work.connection, message), fileset)


def of_commit(engine: Engine, message: Any, only_diff: bool) -> str:
    """A file set with what a commit shows, or with what was written to it alone."""
    with engine.database.writing() as connection:
        row = rows.pick(connection, message).row
        if rests_on_forgotten(connection, row):
            raise Refusal("get file set: the commit is forgotten")
        if only_diff:
            found = connection.execute(
                'SELECT changes, fileset_parts.tree FROM layers JOIN fileset_parts USING (fileset) WHERE "commit"=? '
                "ORDER BY layers.number, fileset_parts.number",
                (row.id,),
            )
            return store(engine, connection, [(changes, tree) for changes, tree in found.fetchall()])
        tree = materialize(engine, connection, row).tree
        return store(engine, connection, [(None, tree)] if tree else [])


def compose(engine: Engine, names: list[str], life: int) -> str:
    """One file set of several, in this order."""
    with engine.database.writing() as connection:
        parts: list[Part] = []
        for name in names:
            check_fileset(engine, connection, name)
            found = connection.execute(
                "SELECT changes, tree FROM fileset_parts WHERE fileset=? ORDER BY number", (name,)
            )
            parts.extend((changes, tree) for changes, tree in found.fetchall())
        return store(engine, connection, parts, _checked(life) if life else LIFE)


def renew(engine: Engine, name: str, life: int) -> None:
    """Keep a file set for so many seconds from now."""
    _checked(life)
    with engine.database.writing() as connection:
        check_fileset(engine, connection, name)
        connection.execute(
            "UPDATE filesets SET expires=max(expires, ?) WHERE id=?", (engine.database.now() + life * 1_000_000, name)
        )


def _checked(life: int) -> int:
    if life < 1:
        raise Refusal(f"ttl ({life}s) must be at least one second")
    if life > LONGEST_LIFE:
        raise Refusal(f"ttl ({life}s) exceeds max ttl ({LONGEST_LIFE}s)")
    return life
