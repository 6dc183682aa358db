"""One unit of work on the commit graph: all its commits share one id, and what follows from them happens at its end.

It exists because pachd propagates at the end of a transaction and not when a commit is made, so that changes of several
branches give one commit set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from pachyderm_sdk.api import pfs

from pachyderm.store.database import rows
from pachyderm.store.database.rows import BranchRow, CommitRow, SqlConnection
from pachyderm.store.graph import triggers
from pachyderm.store.graph.infos import reach
from pachyderm.store.graph.views import NOTHING, base_of, materialize
from pachyderm.store.names import new_id
from pachyderm.store.objects.engine import Engine
from pachyderm.store.refusals import Refusal

USER = int(pfs.OriginKind.USER)
AUTO = int(pfs.OriginKind.AUTO)


class GraphUpdate:
    """A unit of work in a writing transaction.

    Attributes:
        engine: the store.
        connection: the transaction.
        set_id: the id of every commit that is made.
        now: microseconds since 1970, of everything that is made.
    """

    def __init__(self, engine: Engine, connection: SqlConnection, set_id: str) -> None:
        self.engine = engine
        self.connection = connection
        self.set_id = set_id
        self.now = engine.database.now()
        self._moved: dict[int, None] = {}
        self._finishing: deque[int] = deque()
        self._succeeded: list[int] = []

    def move(self, branch: int) -> None:
        """Note a branch whose head moved, so that what is downstream of it gets new commits."""
        self._moved[branch] = None

    def settle(self, commit: int) -> None:
        """Note a commit that waits for its end."""
        self._finishing.append(commit)

    def create_commit(
        self,
        repo: int,
        branch: str,
        origin: int,
        *,
        parent: int | None,
        provenance: list[int],
        description: str = "",
        closed: bool = False,
    ) -> CommitRow:
        """Make a commit of this unit's set.

        Raises:
            Refusal: ALREADY_EXISTS where the repo has one in this set.
        """
        if rows.commits(self.connection, 'WHERE repo=? AND "set"=?', (repo, self.set_id)):
            owner = rows.repo_by_id(self.connection, repo).full_name
            name = f"{owner}@{self.set_id}"
            raise Refusal(
                f"commit {name} already exists\ninconsistent dependencies: cannot create commit from {name}; "
                f"repo ({owner.name}) already has a commit in this transaction",
                grpc.StatusCode.ALREADY_EXISTS,
            )
        end = self.now if closed else None
        number = self.connection.execute(
            "INSERT INTO commits VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, '{}', ?, NULL, ?, '')",
            (
                repo,
                self.set_id,
                branch,
                origin,
                description,
                parent,
                self.now,
                end,
                end,
                self.now,
                0 if closed else NOTHING,
            ),
        ).lastrowid
        self.connection.executemany(
            "INSERT OR IGNORE INTO commit_provenance VALUES (?, ?)", ((number, upstream) for upstream in provenance)
        )
        return rows.commit_by_id(self.connection, int(number or 0))

    def set_head(self, branch: int, commit: int) -> None:
        """Point a branch at a commit."""
        self.connection.execute("UPDATE branches SET head=?, updated=? WHERE id=?", (commit, self.now, branch))

    def end(self) -> None:
        """Do what follows from the unit: check the graph, propagate, finish, fire triggers."""
        for branch in self._moved:
            self._check_structure(branch)
        self._propagate()
        self._finish()
        self._fire()

    def _check_structure(self, start: int) -> None:
        connected = {start}
        waiting = [start]
        while waiting:
            branch = waiting.pop()
            near = self.connection.execute(
                "SELECT upstream FROM branch_provenance WHERE downstream=?1 "
                "UNION SELECT downstream FROM branch_provenance WHERE upstream=?1",
                (branch,),
            )
            for (other,) in near.fetchall():
                if other not in connected:
                    connected.add(other)
                    waiting.append(other)
        seen = set()
        for branch in sorted(connected):
            repo = rows.branch_by_id(self.connection, branch).repo
            if repo in seen:
                name = rows.repo_by_id(self.connection, repo).full_name
                raise Refusal(f'multiple branches from the same repo, "{name}", cannot participate in a DAG')
            seen.add(repo)

    def _propagate(self) -> None:
        found: dict[int, BranchRow] = {}
        for moved in self._moved:
            self._collect(moved, found)
        order = sorted(found, key=lambda number: len(reach(self.connection, number, "downstream", "upstream")))
        for number in order:
            branch = rows.branch_by_id(self.connection, number)
            head = rows.commit_by_id(self.connection, branch.head)
            if head.set == self.set_id:
                continue
            upstream = self.connection.execute(
                "SELECT head FROM branch_provenance JOIN branches ON id=upstream WHERE downstream=? ORDER BY upstream",
                (number,),
            ).fetchall()
            commit = self.create_commit(
                branch.repo, branch.name, AUTO, parent=branch.head, provenance=[above for (above,) in upstream]
            )
            self.set_head(number, commit.id)

    def _collect(self, branch: int, found: dict[int, BranchRow]) -> None:
        below = self.connection.execute(
            "SELECT downstream FROM branch_provenance WHERE upstream=? AND NOT never ORDER BY downstream", (branch,)
        )
        for (number,) in below.fetchall():
            if number not in found:
                found[number] = rows.branch_by_id(self.connection, number)
                self._collect(number, found)

    def _finish(self) -> None:
        while self._finishing:
            found = rows.commits(self.connection, "WHERE id=?", (self._finishing.popleft(),))
            if not found or found[0].finishing is None:
                continue
            row = found[0]
            if row.finished is None:
                if not self._finish_one(row):
                    continue
                row = rows.commit_by_id(self.connection, row.id)
            for child in rows.children(self.connection, row.id):
                if child.finishing is not None and (child.finished is None or child.error):
                    self._finishing.append(child.id)

    def _finish_one(self, row: CommitRow) -> bool:
        """Finish a commit if its base allows it; where it does not, the base's own end comes back to it."""
        ready = base_of(self.connection, row).ready
        if not ready and not row.error:
            return False
        if ready:
            row = materialize(self.engine, self.connection, row)
        error = row.error or row.fault
        self.connection.execute(
            "UPDATE commits SET finished=?, error=?, updated=? WHERE id=?", (self.now, error, self.now, row.id)
        )
        if not error:
            self._succeeded.append(row.id)
        return True

    def _fire(self) -> None:
        """Move the branches whose triggers are satisfied, each in a unit of its own.

        What is downstream gets another set id than the commit, as in pachd, where the trigger fires in a transaction
        after the one that finishes the commit.
        """
        for number in self._succeeded:
            commit = rows.commit_by_id(self.connection, number)
            for branch in triggers.fired(self.connection, commit):
                follow = GraphUpdate(self.engine, self.connection, new_id())
                follow.set_head(branch, number)
                follow.move(branch)
                follow.end()


@contextmanager
def unit(engine: Engine, set_id: str = "") -> Iterator[GraphUpdate]:
    """A unit of work that is durable when the block ends without an exception.

    Args:
        engine: the store.
        set_id: the commit set's id; a new one without.
    """
    with engine.database.writing() as connection:
        work = GraphUpdate(engine, connection, set_id or new_id())
        yield work
        work.end()
