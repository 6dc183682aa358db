"""Branch triggers: the conditions under which a branch follows another branch of its repo."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from pachyderm_sdk.api import pfs

from pachyderm.store.database import rows
from pachyderm.store.database.rows import BranchRow, CommitRow, SqlConnection
from pachyderm.store.graph.schedules import parse_schedule, parse_size
from pachyderm.store.names import RepoName, check_name
from pachyderm.store.refusals import Refusal

AUTO = int(pfs.OriginKind.AUTO)

_COLUMNS = 'branch, watched, "all", rate_limit, size, commits, cron, ticked'


class TriggerRow(NamedTuple):
    """A trigger.

    Attributes:
        branch: the branch that is moved.
        watched: the branch that it follows.
        all: all conditions must hold; one is enough otherwise.
        rate_limit: schedule that must have had a point between the two heads; empty for no such condition.
        size: by how much the new head must be larger; empty for no such condition.
        commits: how many commits the new head must be ahead; 0 for no such condition.
        cron: schedule on which the branch is moved; the other conditions do not count then. Empty for none.
        ticked: microseconds since 1970 of the last point of `cron` that was served.
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
        Refusal: as pachd.
    """
    if not trigger.branch:
        raise Refusal("triggers must specify a branch to trigger on")
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
            raise Refusal(f"invalid trigger {name}: {error}") from error
    if trigger.commits < 0:
        raise Refusal("can't trigger on a negative number of commits")
    watched: str | None = trigger.branch
    while watched is not None:
        if watched == branch:
            raise Refusal("triggers cannot form a loop")
        row = rows.find_branch(connection, owner, watched)
        watched = _watched_by(connection, row)


def _watched_by(connection: SqlConnection, branch: BranchRow | None) -> str | None:
    trigger = None if branch is None else find(connection, branch.id)
    return None if trigger is None else rows.branch_by_id(connection, trigger.watched).name


def put(connection: SqlConnection, owner: RepoName, branch: BranchRow, trigger: Any) -> None:
    """Give a branch a trigger in place of the one that it has.

    Raises:
        Refusal: NOT_FOUND where the branch to follow does not exist.
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
    """The trigger of a branch."""
    found = select(connection, "branch=?", branch)
    return found[0] if found else None


def select(connection: SqlConnection, where: str, *values: Any) -> list[TriggerRow]:
    """Triggers in the order of their branches."""
    query = f"SELECT {_COLUMNS} FROM triggers WHERE {where} ORDER BY branch"
    return [TriggerRow(*row) for row in connection.execute(query, values)]


def describe(connection: SqlConnection, branch: int) -> Any:
    """The `Trigger` message of a branch; None where it has no trigger."""
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
    """Delete the triggers that a branch takes part in, before the branch itself is deleted.

    Raises:
        Refusal: there are some and `force` is not set.
    """
    for column, other, what in (("watched", "branch", "it is triggered by"), ("branch", "watched", "it triggers")):
        found = select(connection, f"{column}=?", branch.id)
        if found and not force:
            names = " ".join(rows.branch_by_id(connection, getattr(row, other)).name for row in found)
            raise Refusal(f'branch "{name}" cannot be deleted because {what} branches [{names}]')
    connection.execute("DELETE FROM triggers WHERE branch=?1 OR watched=?1", (branch.id,))


def fired(connection: SqlConnection, commit: CommitRow) -> Iterator[int]:
    """The branches that follow a commit which finished without error.

    A branch counts as moved once the caller asks for the next one, so that chains of triggers fire too.
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
    """How many commits lie between two heads, up to `most`; a branch's first commit counts if a client made it."""
    count = 0
    row = new
    while count < most and row.id != old.id:
        if row.parent is None:
            return count + (row.origin != AUTO)
        row = rows.commit_by_id(connection, row.parent)
        count += 1
    return count
