"""File sets: writes that do not belong to a commit yet; creation, composition, renewal and addition to a commit.

A file set publishes a result in one step: the commit is checked when the file set is added, so a late writer cannot
damage a finished commit.
"""

from __future__ import annotations

from typing import Any

from pachyderm.store.database import resolve
from pachyderm.store.database.rows import CommitRow, SqlConnection
from pachyderm.store.graph.graph_update import GraphUpdate, graph_update
from pachyderm.store.graph.materialize import base_of, check_fileset, materialize, rests_on_forgotten
from pachyderm.store.names import new_id
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError

LIFE = 600
"""Seconds for which a file set is kept by default."""
LONGEST_LIFE = 1800
"""Maximum number of seconds for which a file set is kept without another renewal."""

Part = tuple[bytes | None, bytes | None]
"""Encoded changes, or the root page of a whole tree; the other one is None."""


def store(engine: Engine, connection: SqlConnection, parts: list[Part], life: int = LIFE) -> str:
    """Store a file set and return its id.

    Args:
        engine: the store.
        connection: the write transaction.
        parts: what the file set consists of.
        life: seconds until it expires; a file set that was added to a commit is kept as long as the commit.
    """
    name = new_id()
    expires = engine.database.now() + life * 1_000_000 if life else 0
    connection.execute("INSERT INTO filesets VALUES (?, ?, NULL, 0)", (name, expires))
    connection.executemany(
        "INSERT INTO fileset_parts VALUES (?, ?, ?, ?)", ((name, number, *part) for number, part in enumerate(parts))
    )
    return name


def attach(update: GraphUpdate, row: CommitRow, fileset: str) -> None:
    """Append a file set to the writes of an open commit."""
    number = update.connection.execute(
        'SELECT coalesce(max(number) + 1, 0) FROM layers WHERE "commit"=?', (row.id,)
    ).fetchone()[0]
    update.connection.execute("INSERT INTO layers VALUES (?, ?, ?)", (row.id, number, fileset))
    if base_of(update.connection, row).ready:
        materialize(update.engine, update.connection, row)


def add(engine: Engine, message: Any, fileset: str) -> None:
    """Add a file set to an open commit.

    Raises:
        StatusError: the commit is finished or named through an alias; the file set is missing or has expired.
    """
    with graph_update(engine) as update:
        check_fileset(engine, update.connection, fileset)
        attach(update, resolve.commit_for_writing(update.connection, message), fileset)


def of_commit(engine: Engine, message: Any, only_diff: bool) -> str:
    """Return a new file set with the files of a commit, or, with `only_diff`, with what was written to it."""
    with engine.database.writing() as connection:
        row = resolve.commit(connection, message).row
        if rests_on_forgotten(connection, row):
            raise StatusError("get file set: the commit is forgotten")
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
    """Return a new file set that consists of several, in this order."""
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
    """Extend the life of a file set to at least `life` seconds from now."""
    _checked(life)
    with engine.database.writing() as connection:
        check_fileset(engine, connection, name)
        connection.execute(
            "UPDATE filesets SET expires=max(expires, ?) WHERE id=?", (engine.database.now() + life * 1_000_000, name)
        )


def _checked(life: int) -> int:
    if life < 1:
        raise StatusError(f"ttl ({life}s) must be at least one second")
    if life > LONGEST_LIFE:
        raise StatusError(f"ttl ({life}s) exceeds max ttl ({LONGEST_LIFE}s)")
    return life
