"""Branch triggers with a schedule, and the thread that fires them."""

from __future__ import annotations

import logging
import sqlite3
import threading

from pachyderm.store.database import rows
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.graph import triggers
from pachyderm.store.graph.graph_update import graph_update
from pachyderm.store.graph.schedules import parse_schedule
from pachyderm.store.graph.triggers import TriggerRow
from pachyderm.store.objects.engine import Engine

logger = logging.getLogger(__name__)

POLL_INTERVAL = 0.5
"""Maximum number of seconds until a trigger that another process created is noticed."""


class CronTriggers:
    """Fires the scheduled triggers of one open store; if several processes do, only one fires each trigger."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-cron", daemon=True)

    def start(self) -> None:
        """Start the thread, unless the store can only be read."""
        if self._engine.database.refusal is None:
            self._thread.start()

    def start_if_needed(self) -> None:
        """Fire what is due and start the thread, if the store has a trigger with a schedule."""
        with self._engine.database.reading() as connection:
            needed = bool(triggers.select(connection, "cron<>''"))
        if needed and self._engine.database.refusal is None:
            fire_due(self._engine)
            self.start()

    def stop(self) -> None:
        """Stop the thread; call it before the engine is closed."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                due = fire_due(self._engine)
            except sqlite3.Error:
                logger.warning(
                    "cannot fire the scheduled branch triggers of %s; trying again",
                    self._engine.database.folder,
                    exc_info=True,
                )
                due = None
            pause = POLL_INTERVAL
            if due is not None:
                pause = min(POLL_INTERVAL, max(0.0, (due - self._engine.database.now()) / 1_000_000))


def fire_due(engine: Engine) -> int | None:
    """Fire the triggers that are due.

    A trigger that missed several points in time, because no process had the store open, fires once. Seen on pachd
    2.12: such a trigger fires once for every missed point.

    Returns:
        the time at which the next trigger is due, in microseconds since 1970; None if there is none.
    """
    with engine.database.reading() as connection:
        due = [row.branch for row, moment in _scheduled(connection) if moment <= engine.database.now()]
    for branch in due:
        _fire(engine, branch)
    with engine.database.reading() as connection:
        return min((moment for _, moment in _scheduled(connection)), default=None)


def _scheduled(connection: SqlConnection) -> list[tuple[TriggerRow, int]]:
    found = ((row, _next(row)) for row in triggers.select(connection, "cron<>''"))
    return [(row, moment) for row, moment in found if moment is not None]


def _next(row: TriggerRow) -> int | None:
    return parse_schedule(row.cron).next(row.ticked) if row.cron else None


def _fire(engine: Engine, branch: int) -> None:
    """Move a branch to the head of the branch that it follows, unless it is there already.

    Seen on pachd 2.12: a trigger with nothing new to follow opens output commits at every point in time.
    """
    with graph_update(engine) as update:
        row = triggers.find(update.connection, branch)
        moment = None if row is None else _next(row)
        if row is None or moment is None or moment > update.now:
            return  # another process has fired or changed it
        update.connection.execute("UPDATE triggers SET ticked=? WHERE branch=?", (update.now, branch))
        head = rows.branch_by_id(update.connection, row.watched).head
        if rows.branch_by_id(update.connection, branch).head != head:
            update.set_head(branch, head)
            update.move(branch)
