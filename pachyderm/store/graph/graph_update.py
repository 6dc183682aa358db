"""An update of the commit graph: one transaction, whose commits form one commit set.

As in pachd, propagation to downstream branches happens at the end of the transaction, so that changes of several
branches open one commit set.
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
from pachyderm.store.graph.materialize import NOTHING, base_of, materialize
from pachyderm.store.names import new_id
from pachyderm.store.objects.engine import Engine
from pachyderm.store.status_errors import StatusError

USER = int(pfs.OriginKind.USER)
AUTO = int(pfs.OriginKind.AUTO)


class GraphUpdate:
    """An update of the commit graph in an open write transaction.

    Attributes:
        engine: the store.
        connection: the transaction.
        set_id: id of the commit set.
        now: microseconds since 1970; the time of everything that the update creates.
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
        """Mark a branch as moved, so that `end` opens commits on the branches downstream."""
        self._moved[branch] = None

    def settle(self, commit: int) -> None:
        """Schedule a FINISHING commit to be finished by `end`."""
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
        """Create a commit of this update's commit set.

        Args:
            repo: row id of the repo.
            branch: name of the branch.
            origin: `OriginKind`.
            parent: row id of the parent commit.
            provenance: row ids of the commits that it depends on.
            description: description of the commit.
            closed: create it finished and empty.

        Raises:
            StatusError: ALREADY_EXISTS if the repo has a commit in this set.
        """
        if rows.commits(self.connection, 'WHERE repo=? AND "set"=?', (repo, self.set_id)):
            owner = rows.repo_by_id(self.connection, repo).full_name
            name = f"{owner}@{self.set_id}"
            raise StatusError(
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
        """Check the graph, propagate to downstream branches, finish commits and fire triggers."""
        for branch in self._moved:
            self._check_structure(branch)
        self._propagate()
        self._finish()
        self._fire()

    def _check_structure(self, start: int) -> None:
        """Check that the connected DAG of a branch has one branch per repo, which pachd demands."""
        connected = {start}
        pending = [start]
        while pending:
            branch = pending.pop()
            neighbours = self.connection.execute(
                "SELECT upstream FROM branch_provenance WHERE downstream=?1 "
                "UNION SELECT downstream FROM branch_provenance WHERE upstream=?1",
                (branch,),
            )
            for (other,) in neighbours.fetchall():
                if other not in connected:
                    connected.add(other)
                    pending.append(other)
        seen = set()
        for branch in sorted(connected):
            repo = rows.branch_by_id(self.connection, branch).repo
            if repo in seen:
                name = rows.repo_by_id(self.connection, repo).full_name
                raise StatusError(f'multiple branches from the same repo, "{name}", cannot participate in a DAG')
            seen.add(repo)

    def _propagate(self) -> None:
        """Open a commit on every branch downstream of a moved one, upstream branches first."""
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
                branch.repo, branch.name, AUTO, parent=branch.head, provenance=[commit for (commit,) in upstream]
            )
            self.set_head(number, commit.id)

    def _collect(self, branch: int, found: dict[int, BranchRow]) -> None:
        downstream = self.connection.execute(
            "SELECT downstream FROM branch_provenance WHERE upstream=? AND NOT never ORDER BY downstream", (branch,)
        )
        for (number,) in downstream.fetchall():
            if number not in found:
                found[number] = rows.branch_by_id(self.connection, number)
                self._collect(number, found)

    def _finish(self) -> None:
        """Finish the scheduled commits, and then the children that were waiting for them."""
        while self._finishing:
            found = rows.commits(self.connection, "WHERE id=?", (self._finishing.popleft(),))
            if not found or found[0].finishing is None:
                continue
            row = found[0]
            if row.finished is None:
                if not self._finish_commit(row):
                    continue
                row = rows.commit_by_id(self.connection, row.id)
            for child in rows.children(self.connection, row.id):
                if child.finishing is not None and (child.finished is None or child.error):
                    self._finishing.append(child.id)

    def _finish_commit(self, row: CommitRow) -> bool:
        """Finish a commit and return True; False if its base is unfinished, whose own end will finish it.

        Seen on pachd 2.12: a commit that is finished before an older one of its branch stays FINISHING for ever, as
        does every later commit of the repo.
        """
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
        """Move the branches whose triggers are satisfied, each in an update of its own.

        Commits downstream get another set id than the commit, as in pachd, which fires triggers in a transaction after
        the one that finishes the commit.
        """
        for number in self._succeeded:
            commit = rows.commit_by_id(self.connection, number)
            for branch in triggers.fired(self.connection, commit):
                follow = GraphUpdate(self.engine, self.connection, new_id())
                follow.set_head(branch, number)
                follow.move(branch)
                follow.end()


@contextmanager
def graph_update(engine: Engine, set_id: str = "") -> Iterator[GraphUpdate]:
    """Open an update of the commit graph; commit it durably unless the block raises.

    Args:
        engine: the store.
        set_id: id of the commit set; empty for a new one.
    """
    with engine.database.writing() as connection:
        update = GraphUpdate(engine, connection, set_id or new_id())
        yield update
        update.end()
