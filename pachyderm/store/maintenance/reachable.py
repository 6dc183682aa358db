"""Everything that commits and file sets rest on: pages, lists and blocks, found from the tables alone.

It exists because a collection must keep exactly this, and a check must find all of it.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.objects.blocks import BLOCK
from pachyderm.store.objects.changes import decoded
from pachyderm.store.objects.contents import Content, cut
from pachyderm.store.objects.pages import Page


@dataclass
class Reachable:
    """What was found.

    Attributes:
        pages, lists, blocks: names, each with the first thing that needs it.
        missing: (kind, name, who needs it) of what is needed and not there.
        broken: (kind, name, what is wrong) of what cannot be read.
    """

    pages: dict[bytes, str] = field(default_factory=dict)
    lists: dict[bytes, str] = field(default_factory=dict)
    blocks: dict[bytes, str] = field(default_factory=dict)
    missing: list[tuple[str, bytes, str]] = field(default_factory=list)
    broken: list[tuple[str, bytes, str]] = field(default_factory=list)


def reachable(connection: SqlConnection, now: int) -> Reachable:
    """Follow every reference from commits and from file sets that have not expired at `now` (microseconds)."""
    found = Reachable()
    commits = connection.execute(
        'SELECT projects.name, repos.name, "set", tree FROM commits JOIN repos ON repos.id=repo '
        "JOIN projects ON projects.id=project WHERE tree IS NOT NULL ORDER BY commits.id"
    )
    for project, repo, set_id, tree in commits.fetchall():
        _follow(connection, found, tree, f"commit {project}/{repo}@{set_id}")
    filesets = connection.execute(
        "SELECT id, tree FROM filesets WHERE expires>=? OR id IN (SELECT fileset FROM layers)", (now,)
    )
    for name, tree in filesets.fetchall():
        who = f"file set {name}"
        if tree is not None:
            _follow(connection, found, tree, who)
        parts = connection.execute("SELECT changes, tree FROM fileset_parts WHERE fileset=? ORDER BY number", (name,))
        for changes, whole in parts.fetchall():
            if whole is not None:
                _follow(connection, found, whole, who)
            if changes is not None:
                _follow_changes(connection, found, name, changes)
    return found


def _follow(connection: SqlConnection, found: Reachable, top: bytes, who: str) -> None:
    waiting = [top]
    while waiting:
        name = waiting.pop()
        if name in found.pages:
            continue
        found.pages[name] = who
        row = connection.execute("SELECT data FROM pages WHERE id=?", (name,)).fetchone()
        if row is None:
            found.missing.append(("page", name, who))
            continue
        try:
            page = Page.decode(row[0])
        except Exception as error:  # noqa: BLE001 - whatever damaged bytes do to the decoder
            found.broken.append(("page", name, f"cannot be read ({error}), needed by {who}"))
            continue
        for number, key in enumerate(page.keys):
            below = page.hash_at(number)
            if page.level or key.endswith(b"/"):
                waiting.append(below)
            else:
                _keep(connection, found, Content(page.sizes[number], below), f"{who}, {key.decode(errors='replace')}")


def _follow_changes(connection: SqlConnection, found: Reachable, name: str, changes: bytes) -> None:
    try:
        for path, change in decoded(changes):
            for piece in change.pieces:
                _keep(connection, found, piece, f"file set {name}, {path.decode(errors='replace')}")
    except (zlib.error, ValueError, IndexError) as error:
        found.broken.append(("file set", name.encode(), f"its changes cannot be read ({error})"))


def _keep(connection: SqlConnection, found: Reachable, content: Content, who: str) -> None:
    if not content.size:
        return
    if content.size <= BLOCK:
        found.blocks.setdefault(content.hash, who)
        return
    if content.hash in found.lists:
        return
    found.lists[content.hash] = who
    row = connection.execute("SELECT blocks FROM lists WHERE id=?", (content.hash,)).fetchone()
    if row is None:
        found.missing.append(("list", content.hash, who))
        return
    for block in cut(row[0]):
        found.blocks.setdefault(block, who)
