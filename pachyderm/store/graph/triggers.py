"""Branch triggers: conditions under which a branch follows another branch of its repo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pachyderm_sdk.api import pfs

from pachyderm.store.database import rows
from pachyderm.store.database.rows import BranchRow, CommitRow, SqlConnection
from pachyderm.store.graph.schedules import parse_schedule, parse_size
from pachyderm.store.names import RepoName, check_name
from pachyderm.store.status_errors import StatusError

AUTO = int(pfs.OriginKind.AUTO)

_COLUMNS = 'branch, watched, "all", rate_limit, size, commits, cron, ticked'


class TriggerRow(NamedTuple):
    """A trigger of a branch.

    Attributes:
        branch: row id of the branch that moves.
        watched: row id of the branch that it follows.
        all: whether all conditions must hold; otherwise one is enough.
        rate_limit: schedule that must have been due between the two heads; empty for no such condition.
        size: minimum growth of the head; empty for no such condition.
        commits: minimum number of commits between the heads; 0 for no such condition.
        cron: schedule on which the branch moves, whatever the other conditions; empty for none.
        ticked: microseconds since 1970 at which `cron` was last served.
    """

    branch: int
    watched: int
    all: int
    rate_limit: str
    size: str
    commits: int
    cron: str
    ticked: int


def check(connection: SqlConnection, owner: RepoName, branch: str, trigger: Any) -> None:
    """Check a `Trigger` message for a branch.

    Raises:
        StatusError: as pachd.
    """
    if not trigger.branch:
        raise StatusError("triggers must specify a branch to trigger on")
    check_name(trigger.branch)
    for value, parse, name in (
        (trigger.rate_limit_spec, parse_schedule, "rate limit spec"),
        (trigger.size, parse_size, "size"),
        (trigger.cron_spec, parse_schedule, "cron spec"),
    ):
        try:
            if value:
                parse(value)
        except (ValueError, OverflowError) as error:
            raise StatusError(f"invalid trigger {name}: {error}") from error
    if trigger.commits < 0:
        raise StatusError("can't trigger on a negative number of commits")
    watched: str | None = trigger.branch
    while watched is not None:
        if watched == branch:
            raise StatusError("triggers cannot form a loop")
        row = rows.find_branch(connection, owner, watched)
        watched = _watched_by(connection, row)


def _watched_by(connection: SqlConnection, branch: BranchRow | None) -> str | None:
    trigger = None if branch is None else find(connection, branch.id)
    return None if trigger is None else rows.branch_by_id(connection, trigger.watched).name


def put(connection: SqlConnection, owner: RepoName, branch: BranchRow, trigger: Any) -> None:
    """Set the trigger of a branch.

    Raises:
        StatusError: NOT_FOUND if the branch to follow is missing.
    """
    watched = rows.branch(connection, owner, trigger.branch).id
    before = find(connection, branch.id)
    ticked = rows.commit_by_id(connection, branch.head).started
    if before is not None and before.cron == trigger.cron_spec:
        ticked = before.ticked
    row = TriggerRow(
        branch.id,
        watched,
        int(trigger.all),
        trigger.rate_limit_spec,
        trigger.size,
        trigger.commits,
        trigger.cron_spec,
        ticked,
    )
    connection.execute(f"INSERT OR REPLACE INTO triggers ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)


def find(connection: SqlConnection, branch: int) -> TriggerRow | None:
    """Return the trigger of a branch, or None."""
    found = select(connection, "branch=?", branch)
    return found[0] if found else None


def select(connection: SqlConnection, where: str, *values: Any) -> list[TriggerRow]:
    """Return the triggers that satisfy a WHERE condition, in the order of their branches."""
    query = f"SELECT {_COLUMNS} FROM triggers WHERE {where} ORDER BY branch"
    return [TriggerRow(*row) for row in connection.execute(query, values)]


def describe(connection: SqlConnection, branch: int) -> Any:
    """Return the `Trigger` message of a branch, or None."""
    row = find(connection, branch)
    if row is None:
        return None
    return pfs.Trigger(
        branch=rows.branch_by_id(connection, row.watched).name,
        all=bool(row.all),
        rate_limit_spec=row.rate_limit,
        size=row.size,
        commits=row.commits,
        cron_spec=row.cron,
    )


def remove(connection: SqlConnection, branch: BranchRow, name: str, force: bool) -> None:
    """Delete the triggers of and on a branch, before the branch itself is deleted.

    Raises:
        StatusError: there are any and `force` is false.
    """
    for column, other, what in (("watched", "branch", "it is triggered by"), ("branch", "watched", "it triggers")):
        found = select(connection, f"{column}=?", branch.id)
        if found and not force:
            names = " ".join(rows.branch_by_id(connection, getattr(row, other)).name for row in found)
            raise StatusError(f'branch "{name}" cannot be deleted because {what} branches [{names}]')
    connection.execute("DELETE FROM triggers WHERE branch=?1 OR watched=?1", (branch.id,))


def fired(connection: SqlConnection, commit: CommitRow) -> Iterator[int]:
    """Yield the branches whose triggers fire for a commit that finished without error.

    The caller moves each branch before it asks for the next one, so that chains of triggers fire too.
    """
    watched = [row.id for row in rows.branches(connection, "WHERE repo=? AND name=?", (commit.repo, commit.branch))]
    for number in watched:
        for trigger in select(connection, "watched=? AND cron=''", number):
            head = rows.commit_by_id(connection, rows.branch_by_id(connection, trigger.branch).head)
            if head.id != commit.id and _holds(connection, trigger, head, commit):
                yield trigger.branch
                watched.append(trigger.branch)


def _holds(connection: SqlConnection, trigger: TriggerRow, old: CommitRow, new: CommitRow) -> bool:
    conditions = []
    if trigger.size:
        before = old.size if old.finished is not None else 0
        conditions.append(new.size - before >= parse_size(trigger.size))
    if trigger.rate_limit:
        due = parse_schedule(trigger.rate_limit).next(old.finishing or 0)
        conditions.append(due is not None and due < (new.finishing or 0))
    if trigger.commits:
        conditions.append(_ahead(connection, old, new, trigger.commits) == trigger.commits)
    return all(conditions) if trigger.all else any(conditions)


def _ahead(connection: SqlConnection, old: CommitRow, new: CommitRow, most: int) -> int:
    """Count the commits between two heads, up to `most`; a branch's first commit counts if a client started it."""
    count = 0
    row = new
    while count < most and row.id != old.id:
        if row.parent is None:
            return count + (row.origin != AUTO)
        row = rows.commit_by_id(connection, row.parent)
        count += 1
    return count
