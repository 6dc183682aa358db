"""The pages, lists and blocks that commits and file sets refer to, found from the tables alone."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.objects.blocks import BLOCK
from pachyderm.store.objects.changes import decoded
from pachyderm.store.objects.contents import Content, cut
from pachyderm.store.objects.prolly_tree import Page


@dataclass
class Reachable:
    """The reachable objects.

    Attributes:
        pages: ids, each with a description of the first object that refers to it.
        lists: likewise.
        blocks: likewise.
        missing: (kind, id, referrer) of the pages and lists that are missing.
        broken: (kind, id, problem) of the objects that cannot be parsed.
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
        user = f"file set {name}"
        if tree is not None:
            _follow(connection, found, tree, user)
        parts = connection.execute("SELECT changes, tree FROM fileset_parts WHERE fileset=? ORDER BY number", (name,))
        for changes, whole in parts.fetchall():
            if whole is not None:
                _follow(connection, found, whole, user)
            if changes is not None:
                _follow_changes(connection, found, name, changes)
    return found


def _follow(connection: SqlConnection, found: Reachable, top: bytes, user: str) -> None:
    pending = [top]
    while pending:
        name = pending.pop()
        if name in found.pages:
            continue
        found.pages[name] = user
        row = connection.execute("SELECT data FROM pages WHERE id=?", (name,)).fetchone()
        if row is None:
            found.missing.append(("page", name, user))
            continue
        try:
            page = Page.decode(row[0])
        except Exception as error:  # noqa: BLE001 - damaged bytes can raise anything in the decoder
            found.broken.append(("page", name, f"cannot be read ({error}), needed by {user}"))
            continue
        for number, key in enumerate(page.keys):
            child = page.hash_at(number)
            if page.level or key.endswith(b"/"):
                pending.append(child)
            else:
                _keep(connection, found, Content(page.sizes[number], child), f"{user}, {key.decode(errors='replace')}")


def _follow_changes(connection: SqlConnection, found: Reachable, name: str, changes: bytes) -> None:
    try:
        for path, change in decoded(changes):
            for piece in change.pieces:
                _keep(connection, found, piece, f"file set {name}, {path.decode(errors='replace')}")
    except (zlib.error, ValueError, IndexError) as error:
        found.broken.append(("file set", name.encode(), f"its changes cannot be read ({error})"))


def _keep(connection: SqlConnection, found: Reachable, content: Content, user: str) -> None:
    if not content.size:
        return
    if content.size <= BLOCK:
        found.blocks.setdefault(content.hash, user)
        return
    if content.hash in found.lists:
        return
    found.lists[content.hash] = user
    row = connection.execute("SELECT blocks FROM lists WHERE id=?", (content.hash,)).fetchone()
    if row is None:
        found.missing.append(("list", content.hash, user))
        return
    for block in cut(row[0]):
        found.blocks.setdefault(block, user)
