"""The trigger's loop: poll, reconcile, act, wait; ``once`` until nothing is open, ``serve`` forever."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import Commit, CommitId, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import INPUTS
from pachyderm.errors import RequestError
from pachyderm.queue.decisions import CONFIRMED, decisions_of
from workflows.daemon.lease import Leadership
from workflows.runners.runner import Runner
from workflows.settings.policy import Policy
from workflows.trigger.actions import Action, ActionPlan
from workflows.trigger.executor import ActionExecutor
from workflows.trigger.metrics import Metrics
from workflows.trigger.reconcile import reconcile
from workflows.trigger.snapshot import Snapshot
from workflows.trigger.snapshot_builder import Clock, SnapshotBuilder
from workflows.trigger.work_items import WorkItemId

logger = logging.getLogger(__name__)

RUNNER_POLL_INTERVAL = 0.1
"""Seconds between two polls of the runner."""

FinalState = Literal["good", "failed", "superseded", "cancelled"]

_WORST_FIRST: tuple[FinalState, ...] = ("failed", "cancelled", "superseded", "good")


@dataclass(frozen=True)
class Outcome:
    """How a work item ended that was open at some poll.

    Attributes:
        commit_set: id of its commit set.
        pipeline: name of the pipeline that fills its commits.
        run: the last run that was started for it, or empty.
        state: ``good``, ``failed``, ``superseded`` or ``cancelled``, the worst end of its commits.
        error: the error of its first commit that ended without success, or empty.
    """

    commit_set: str
    pipeline: str
    run: str
    state: FinalState
    error: str


@dataclass(frozen=True)
class Settings:
    """The settings of a controller.

    Attributes:
        policies: pipeline -> policy.
        max_concurrent_runs: upper bound of live runs.
        poll_interval: seconds between two polls if no event wakes it.
        by: identity of the trigger, ``host:process``, recorded in each decision.
    """

    policies: Mapping[str, Policy]
    max_concurrent_runs: int
    poll_interval: float
    by: str


class Controller:
    """A trigger over one connection and one runner.

    Args:
        client: the connection.
        runner: the runner of the pipelines.
        leadership: decides whether this trigger acts.
        settings: the settings.
        clock: the clocks.
        pause: waits for at most that many seconds; returns True early if an event arrives.
        metrics: records every poll.
        show: receives lines for people about what is waited for.
        check: called wherever the loop may stop; raises KeyboardInterrupt if the process was asked to.
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
        show: Callable[[str], None] = logger.info,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._runner = runner
        self._leadership = leadership
        self._settings = settings
        self._clock = clock
        self._pause = pause
        self._metrics = metrics
        self._show = show
        self._check = check
        self._builder = SnapshotBuilder(
            client, runner, settings.policies, settings.max_concurrent_runs, settings.by, clock
        )
        self._executor = ActionExecutor(client, runner, settings.by, clock.wall, self._builder.started)
        self._open: dict[WorkItemId, set[CommitId]] = {}
        self._outcomes: dict[WorkItemId, Outcome] = {}
        self._shown_obstacles = ""
        self._shown_elsewhere: dict[WorkItemId, str] = {}

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The work items that were open at some poll and have ended, in the order of their ends."""
        return tuple(self._outcomes.values())

    def poll(self) -> tuple[Snapshot, ActionPlan, tuple[Action, ...]]:
        """Build a snapshot, reconcile it and, while this trigger leads, act.

        Returns:
            the snapshot, the plan, and the actions that had an effect.
        """
        began = self._clock.steady()
        self._check()
        snapshot = self._builder.build()
        plan = reconcile(snapshot)
        self._record_outcomes(snapshot)
        effects = self._executor.execute(plan, self._may_act)
        self._metrics.record_poll(snapshot, effects, self._clock.steady() - began, self._leadership.is_leader())
        return snapshot, plan, effects

    def _may_act(self) -> bool:
        """Asked before each action: an action that has begun is completed, and none begins after a signal."""
        self._check()
        return self._leadership.is_leader()

    def once(self) -> tuple[Outcome, ...]:
        """Work until nothing is open, then stop.

        Commit sets that wait for an input commit left open by somebody are reported, and left.

        Returns:
            the work items that were open meanwhile, with how they ended.
        """
        while True:
            snapshot, plan, effects = self.poll()
            self._check()
            if effects:
                continue
            if not snapshot.items:
                return self.outcomes
            if self._waits_for_people(snapshot, plan):
                for waiting in plan.waiting:
                    self._show(f"{waiting.item} is left open: {waiting.why}")
                return self.outcomes
            self._show_obstacles(plan)
            self._wait(plan)

    def serve(self, on_poll: Callable[[], None]) -> NoReturn:
        """Work forever.

        Args:
            on_poll: called after each poll.
        """
        while True:
            _, plan, effects = self.poll()
            on_poll()
            if not effects:
                self._wait(plan)

    def _wait(self, plan: ActionPlan) -> None:
        """Wait until the next poll is due or something happens; poll the runner meanwhile."""
        interval = self._settings.poll_interval
        due = interval if plan.next_poll is None else min(plan.next_poll, interval)
        until = self._clock.steady() + max(due, RUNNER_POLL_INTERVAL)
        while (left := until - self._clock.steady()) > 0:
            self._check()
            if self._runner.poll() or self._pause(min(RUNNER_POLL_INTERVAL, left)):
                return

    def _show_obstacles(self, plan: ActionPlan) -> None:
        obstacles = "\n".join(f"{entry.item}: {entry.why}" for entry in plan.waiting if entry.seconds is None)
        if obstacles != self._shown_obstacles and not self._leadership.is_leader():
            self._show(f"another trigger ({self._leadership.holder()}) is active; waiting for it")
        self._shown_obstacles = obstacles
        elsewhere = {entry.item: entry.why for entry in plan.waiting if entry.elsewhere}
        for item, why in elsewhere.items():
            if why != self._shown_elsewhere.get(item):
                self._show(f"{item} waits: {why}")
        self._shown_elsewhere = elsewhere

    def _waits_for_people(self, snapshot: Snapshot, plan: ActionPlan) -> bool:
        """Return whether everything open waits, directly or not, for an open input commit, and no run is live."""
        if any(not run.state.over for run in snapshot.runs):
            return False
        input_repos = {branch.repo for branch in INPUTS}
        held: set[WorkItemId] = set()
        held_branches: set[BranchName] = set()
        unfilled: set[CommitId] = set()
        # Oldest first, so whatever holds up a work item has been visited before it.
        for item in snapshot.items:
            pending = item.inputs.pending
            behind = not held_branches.isdisjoint(item.branches)
            if behind or (pending is not None and (pending.repo in input_repos or pending in unfilled)):
                held.add(item.id)
                held_branches |= item.branches
                unfilled |= item.commit_ids
        return bool(held) and {entry.item for entry in plan.waiting} <= held

    def _record_outcomes(self, snapshot: Snapshot) -> None:
        """Remember the open work items, and look up how those ended that are no longer open."""
        open_now: dict[WorkItemId, set[CommitId]] = {}
        for item in snapshot.items:
            open_now[item.id] = set(item.commit_ids) | self._open.get(item.id, set())
            self._outcomes.pop(item.id, None)
        for item_id, commits in self._open.items():
            if item_id not in open_now:
                outcome = self._outcomes[item_id] = self._outcome(item_id, commits)
                if self._leadership.is_leader():
                    self._metrics.record_end(item_id.pipeline, outcome.state)
        self._open = open_now

    def _outcome(self, item: WorkItemId, commits: set[CommitId]) -> Outcome:
        ends: list[tuple[FinalState, str]] = []
        run = ""
        for commit in self._existing(commits):
            for decision in decisions_of(commit.metadata):
                run = decision.run if decision.decision == CONFIRMED else run
            state = commit.state
            ends.append((state, commit.error) if state in _WORST_FIRST else ("good", ""))
        if len(ends) < len(commits):
            ends.append(("cancelled", "its commits were dropped"))
        state, error = min(ends, key=lambda end: _WORST_FIRST.index(end[0]))
        return Outcome(item.commit_set, item.pipeline, run, state, error)

    def _existing(self, commits: set[CommitId]) -> list[Commit]:
        found = []
        for commit_id in sorted(commits, key=str):
            try:
                commit = inspect(self._client, commit_id.repo, commit_id.id)
            except RequestError:
                continue
            # The server may answer with another commit, of which the id is an alias.
            if commit.id == commit_id.id:
                found.append(commit)
        return found
