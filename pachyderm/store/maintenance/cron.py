"""Branch triggers with a schedule: the thread that moves branches when their time has come."""

from __future__ import annotations

import logging
import sqlite3
import threading

from pachyderm.store.database import rows
from pachyderm.store.database.rows import SqlConnection
from pachyderm.store.graph import triggers
from pachyderm.store.graph.schedules import parse_schedule
from pachyderm.store.graph.triggers import TriggerRow
from pachyderm.store.graph.update import unit
from pachyderm.store.objects.engine import Engine

logger = logging.getLogger(__name__)

LOOK = 0.5
"""Seconds at most until a trigger that another process created is noticed."""


class CronTriggers:
    """Fires the triggers of one open store; of several processes that do, one fires each."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-cron", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def start_if_needed(self) -> None:
        """Begin if there is a trigger with a schedule; what is due is done before this returns."""
        with self._engine.database.reading() as connection:
            needed = bool(triggers.select(connection, "cron<>''"))
        if needed:
            fire_due(self._engine)
            self.start()

    def stop(self) -> None:
        """End, before the engine is closed."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        pause = 0.0
        while not self._stopping.wait(pause):
            try:
                due = fire_due(self._engine)
            except sqlite3.Error:
                logger.warning("the scheduled branch triggers of %s wait", self._engine.database.folder, exc_info=True)
                due = None
            pause = LOOK
            if due is not None:
                pause = min(LOOK, max(0.0, (due - self._engine.database.now()) / 1_000_000))


def fire_due(engine: Engine) -> int | None:
    """Fire the triggers whose time has come.

    A trigger that missed several points in time, because no process had the store open, fires once.

    Returns:
        when the next one is due, in microseconds since 1970; None where there is none.
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
    """Move a branch to the head of the branch that it follows; where that is its head already nothing happens."""
    with unit(engine) as work:
        row = triggers.find(work.connection, branch)
        moment = None if row is None else _next(row)
        if row is None or moment is None or moment > work.now:
            return  # Another process has fired or changed it.
        work.connection.execute("UPDATE triggers SET ticked=? WHERE branch=?", (work.now, branch))
        head = rows.branch_by_id(work.connection, row.watched).head
        if rows.branch_by_id(work.connection, branch).head != head:
            work.set_head(branch, head)
            work.move(branch)
