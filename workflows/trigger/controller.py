"""The trigger's loop: look, decide, do, wait; ``once`` until nothing is open, ``serve`` for ever."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from pachyderm.client.commits import Commit, CommitId, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUTS
from pachyderm.errors import RequestError
from pachyderm.queue.decisions import CONFIRMED, decisions_of
from workflows.daemon.lease import Leadership
from workflows.runners.runner import Runner
from workflows.settings.policy import Policy
from workflows.trigger.executor import ActionExecutor
from workflows.trigger.metrics import Metrics
from workflows.trigger.reconcile import reconcile
from workflows.trigger.snapshot import Action, ActionPlan, Snapshot, WorkItemId
from workflows.trigger.snapshot_builder import Clock, SnapshotBuilder
from workflows.trigger.work_items import chains_of, work_items_of

logger = logging.getLogger(__name__)

RUNNER_POLL_INTERVAL = 0.1
"""Seconds between two looks at the runner's children."""

UnitEnd = Literal["good", "failed", "superseded", "cancelled"]

_WORST_FIRST: tuple[UnitEnd, ...] = ("failed", "cancelled", "superseded", "good")


@dataclass(frozen=True)
class Done:
    """How a item ended that was open while the trigger looked.

    Attributes:
        run: the last run that was started for it, or empty.
        error: the error of its first commit that did not end well, or empty.
    """

    commit_set: str
    pipeline: str
    run: str
    state: UnitEnd
    error: str


@dataclass(frozen=True)
class Settings:
    """How a controller works.

    Attributes:
        policies: pipeline -> policy.
        max_concurrent_runs: live runs allowed at once.
        poll_interval: seconds between two looks where nothing wakes it.
        by: who decides, ``host:process``.
    """

    policies: Mapping[str, Policy]
    max_concurrent_runs: int
    poll_interval: float
    by: str


class Controller:
    """A trigger over one connection and one runner.

    Args:
        client: the connection.
        runner: what runs the pipelines.
        leadership: whether this trigger is the one that acts.
        settings: how it works.
        clock: the time.
        pause: waits for that many seconds, or less if something happened; True if something did.
        metrics: takes every look into account.
        tell: is given lines for a person about what is waited for.
        check: called wherever the loop may stop; raises KeyboardInterrupt where the process was told to.
    """

    def __init__(
        self,
        client: Connection,
        runner: Runner,
        leadership: Leadership,
        settings: Settings,
        clock: Clock,
        pause: Callable[[float], bool],
        metrics: Metrics,
        tell: Callable[[str], None] = logger.info,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._runner = runner
        self._leadership = leadership
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._metrics = metrics
        self._tell = tell
        self._check = check
        self._observer = SnapshotBuilder(
            client, runner, settings.policies, settings.max_concurrent_runs, settings.by, clock
        )
        self._hands = ActionExecutor(client, runner, settings.by, clock.wall, self._observer.started)
        self._open: dict[WorkItemId, set[CommitId]] = {}
        self._done: dict[WorkItemId, Done] = {}
        self._told = ""
        self._told_elsewhere: dict[WorkItemId, str] = {}

    @property
    def done(self) -> tuple[Done, ...]:
        """The items that were open at some look and have ended, in the order of their ends."""
        return tuple(self._done.values())

    def look(self) -> tuple[Snapshot, ActionPlan, tuple[Action, ...]]:
        """Look, decide and, if it leads, do.

        Returns:
            what was seen, what was decided, and the actions that had an effect.
        """
        began = self._clock.steady()
        self._check()
        snapshot = self._observer.look()
        plan = reconcile(snapshot)
        self._keep_account(snapshot)
        done = self._hands.carry_out(plan, self._may_act)
        self._metrics.looked(snapshot, done, self._clock.steady() - began, self._leadership.is_leader())
        return snapshot, plan, done

    def _may_act(self) -> bool:
        """Asked before each action: one that has begun is completed, and none is begun after a signal."""
        self._check()
        return self._leadership.is_leader()

    def once(self) -> tuple[Done, ...]:
        """Work until nothing is open, then stop.

        Sets that wait for an input commit which somebody has left open are said, and left.

        Returns:
            how the items ended that were open meanwhile.
        """
        while True:
            snapshot, plan, effects = self.look()
            if effects:
                continue
            if not snapshot.commits:
                return self.done
            if self._waits_for_people(snapshot, plan):
                for one in plan.waiting:
                    self._tell(f"{one.item} is left: {one.why}")
                return self.done
            self._say_what_waits(plan)
            self._wait(plan)

    def serve(self, looked: Callable[[], None]) -> NoReturn:
        """Work for ever.

        Args:
            looked: called after each look.
        """
        while True:
            _, plan, effects = self.look()
            looked()
            if not effects:
                self._wait(plan)

    def _wait(self, plan: ActionPlan) -> None:
        """Wait for the next look, while the runner is tended to."""
        due = (
            self._settings.poll_interval
            if plan.next_look is None
            else min(plan.next_look, self._settings.poll_interval)
        )
        until = self._clock.steady() + max(due, RUNNER_POLL_INTERVAL)
        while (left := until - self._clock.steady()) > 0:
            self._check()
            if self._runner.poll() or self._pause(min(RUNNER_POLL_INTERVAL, left)):
                return

    def _say_what_waits(self, plan: ActionPlan) -> None:
        lines = "\n".join(f"{one.item}: {one.why}" for one in plan.waiting if one.seconds is None)
        if lines != self._told and not self._leadership.is_leader():
            self._tell(f"another trigger ({self._leadership.holder()}) works here; waiting for it")
        self._told = lines
        for waiting in (one for one in plan.waiting if one.elsewhere):
            if waiting.why != self._told_elsewhere.get(waiting.item):
                self._tell(f"{waiting.item} waits: {waiting.why}")
        self._told_elsewhere = {one.item: one.why for one in plan.waiting if one.elsewhere}

    def _waits_for_people(self, snapshot: Snapshot, plan: ActionPlan) -> bool:
        """Whether all that is open waits, in the end, for an input commit that is open, and nobody is at work."""
        if any(not run.state.over for run in snapshot.runs):
            return False
        names = {branch.repo for branch in INPUTS}
        chains = chains_of(snapshot.commits).values()
        held: set[WorkItemId] = set()
        unfilled: set[CommitId] = set()
        # Oldest first, so whatever holds a item has been looked at before it.
        for item in work_items_of(snapshot.commits, ()):
            pending = item.inputs().pending
            behind = any(item.id in chain and held.intersection(chain[: chain.index(item.id)]) for chain in chains)
            if behind or (pending is not None and (pending.repo in names or pending in unfilled)):
                held.add(item.id)
                unfilled |= item.own
        return bool(held) and {one.item for one in plan.waiting} <= held

    def _keep_account(self, snapshot: Snapshot) -> None:
        """Take note of the items that are open, and of how those ended that are not any more."""
        seen: dict[WorkItemId, set[CommitId]] = {}
        for item in work_items_of(snapshot.commits, ()):
            seen[item.id] = set(item.own) | self._open.get(item.id, set())
            self._done.pop(item.id, None)
        for unit_id, commits in self._open.items():
            if unit_id not in seen:
                self._done[unit_id] = self._outcome(unit_id, commits)
                if self._leadership.is_leader():
                    self._metrics.ended(unit_id.pipeline, self._done[unit_id].state)
        self._open = seen

    def _outcome(self, item: WorkItemId, commits: set[CommitId]) -> Done:
        ends: list[tuple[UnitEnd, str]] = []
        run = ""
        for commit in self._found(commits):
            for decision in decisions_of(commit.metadata):
                run = decision.run if decision.decision == CONFIRMED else run
            state = commit.state
            ends.append((state, commit.error) if state in _WORST_FIRST else ("good", ""))
        if len(ends) < len(commits):
            ends.append(("cancelled", "its commits were dropped"))
        state, error = min(ends, key=lambda end: _WORST_FIRST.index(end[0]))
        return Done(item.commit_set, item.pipeline, run, state, error)

    def _found(self, commits: set[CommitId]) -> list[Commit]:
        found = []
        for one in sorted(commits, key=str):
            try:
                commit = inspect(self._client, one.repo, one.id)
            except RequestError:
                continue
            if commit.id == one.id:
                found.append(commit)
        return found
