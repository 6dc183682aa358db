"""Builds one snapshot per poll from Pachyderm and the runner.

Claims, ends of runs and announcements carry the times of other machines. How long something has been unchanged is
therefore measured here, by this process's monotonic clock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace

from pachyderm.client.commits import Commit, CommitId, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import PARAMETERS_FILE, read
from pachyderm.dag.repos import PIPELINES
from pachyderm.queue.claims import claims_of, live_claim
from pachyderm.queue.open_commits import OpenCommit, OpenCommits
from workflows.errors import RunInputError
from workflows.runners.runner import RunKey, Runner, RunState
from workflows.settings.policy import Policy, of_parameters_file
from workflows.trigger.snapshot import Snapshot
from workflows.trigger.work_items import SeenRun, WorkItem, WorkItemId, with_runs, work_items_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clock:
    """The two clocks of a process.

    Attributes:
        steady: seconds from an arbitrary start.
        wall: seconds since 1970; may jump.
    """

    steady: Callable[[], float]
    wall: Callable[[], float]


@dataclass
class UnchangedTimer:
    """Measures how long values have been unchanged; keys that are no longer queried are forgotten."""

    _seen: dict[Hashable, tuple[object, float]] = field(default_factory=dict)
    _queried: set[Hashable] = field(default_factory=set)

    def unchanged(self, key: Hashable, value: object, now: float, head_start: float = 0.0) -> float:
        """Return the seconds for which `key` has had this `value`; `head_start` when the value is new."""
        self._queried.add(key)
        before = self._seen.get(key)
        if before is None or before[0] != value:
            self._seen[key] = (value, now - head_start)
            return head_start
        return now - before[1]

    def forget_unqueried(self) -> None:
        """Drop the keys that were not queried since the last call."""
        self._seen = {key: value for key, value in self._seen.items() if key in self._queried}
        self._queried = set()


class SnapshotBuilder:
    """Builds a `Snapshot` per poll, and remembers what it needs from one to the next.

    Args:
        client: the connection.
        runner: the runner of the pipelines.
        policies: pipeline -> policy, which an input's own `/pix2pix.toml` may override.
        max_concurrent_runs: upper bound of live runs.
        by: identity of this trigger; its own announcements need no grace time.
        clock: the clocks.
    """

    def __init__(
        self,
        client: Connection,
        runner: Runner,
        policies: Mapping[str, Policy],
        max_concurrent_runs: int,
        by: str,
        clock: Clock,
    ) -> None:
        self._client = client
        self._runner = runner
        self._policies = policies
        self._max_concurrent_runs = max_concurrent_runs
        self._by = by
        self._clock = clock
        self._open = OpenCommits(client)
        self._unchanged = UnchangedTimer()
        self._ended_runs: dict[str, RunState] = {}
        self._from_file: dict[tuple[str, CommitId], Policy] = {}
        self._last_start: dict[str, float] = {}

    def started(self, pipeline: str) -> None:
        """Record that the first run of a commit set of the pipeline was started now."""
        self._last_start[pipeline] = self._clock.steady()

    def build(self) -> Snapshot:
        """Poll Pachyderm and the runner once.

        Raises:
            RunnerUnreachableError: the runner does not answer.
        """
        commits = self._open.scan()
        groups = work_items_of(commits)
        before = set(self._ended_runs)
        states = self._states(commits, groups)
        if set(self._ended_runs) - before:
            # These runs ended after the commits were read: the commits that they filled would still appear open.
            commits = self._open.scan()
            groups = work_items_of(commits)
        now = self._clock.steady()
        runs = self._seen(states, groups, now)
        items = with_runs(groups, runs)
        snapshot = Snapshot(
            commits=commits,
            items=items,
            runs=runs,
            claim_unchanged_for=self._claims_unchanged(commits, now),
            silent_for=self._silent(items, now),
            announced_for=self._announced(items, now),
            gone_for=self._gone(items, now),
            policies=self._policies_of(items),
            since_start={pipeline: now - then for pipeline, then in self._last_start.items()},
            slots=self._max_concurrent_runs
            - sum(1 for run in runs if not run.state.over and run.state.key is not None),
            uncovered=self._uncovered(),
            atomic_start=self._runner.atomic_start,
        )
        self._unchanged.forget_unqueried()
        return snapshot

    def _uncovered(self) -> dict[str, Commit]:
        """Return the newest output commits that ended as superseded: what superseded them was dropped."""
        heads = ((pipeline.name, self._open.heads.get(pipeline.outputs[-1])) for pipeline in PIPELINES)
        return {name: head for name, head in heads if head is not None and head.state == "superseded"}

    def _states(self, commits: tuple[OpenCommit, ...], groups: tuple[WorkItem, ...]) -> tuple[RunState, ...]:
        """Return the live runs, the last run of each open commit set, and the holders of live claims, oldest first."""
        states = {state.run: state for state in self._runner.live()}
        live_keys = {state.key for state in states.values()}
        ended: dict[str, RunState] = {}
        ended_before: dict[RunKey | None, list[RunState]] = {}
        for state in self._ended_runs.values():
            ended_before.setdefault(state.key, []).append(state)
        for item in groups:
            key = RunKey(item.id.pipeline, item.id.commit_set, item.attempt)
            if item.attempt and key not in live_keys:
                ended.update((state.run, state) for state in ended_before.get(key) or self._runner.find(key))
        for entry in commits:
            claim = live_claim(entry.commit.metadata)
            if claim is not None and claim.holder not in states and claim.holder not in ended:
                known_holder = self._ended_runs.get(claim.holder) or self._runner.state(claim.holder)
                if known_holder is not None:
                    ended[claim.holder] = known_holder
        states.update((run, state) for run, state in ended.items() if run not in states)
        self._ended_runs = {run: state for run, state in states.items() if state.over}
        return tuple(sorted(states.values(), key=lambda state: (state.started, state.run)))

    def _seen(self, states: tuple[RunState, ...], groups: tuple[WorkItem, ...], now: float) -> tuple[SeenRun, ...]:
        open_items = {item.id for item in groups}
        seen = []
        for state in states:
            over_for = idle_for = 0.0
            if state.over:
                ago = max(0.0, self._clock.wall() - state.ended) if state.ended is not None else 0.0
                over_for = self._unchanged.unchanged(("over", state.run), True, now, head_start=ago)
            elif state.key is not None and WorkItemId(state.key.commit_set, state.key.pipeline) not in open_items:
                idle_for = self._unchanged.unchanged(("idle", state.run), True, now)
            seen.append(SeenRun(state, over_for, idle_for))
        return tuple(seen)

    def _claims_unchanged(self, commits: tuple[OpenCommit, ...], now: float) -> dict[tuple[str, str, int], float]:
        unchanged = {}
        for entry in commits:
            claim = live_claim(entry.commit.metadata)
            if claim is not None:
                key = (entry.commit.repo, entry.commit.id, claim.number)
                unchanged[key] = self._unchanged.unchanged(("claim", key), claim.alive, now)
        return unchanged

    def _silent(self, items: tuple[WorkItem, ...], now: float) -> dict[tuple[WorkItemId, int], float]:
        """Return the seconds since the last heartbeat of attempts that were started at another location."""
        silent = {}
        for item in items:
            out_of_sight = item.attempt and not item.last_runs and item.recorded_ending is None
            if out_of_sight and item.announced_where != self._location():
                key = (item.id, item.attempt)
                silent[key] = self._unchanged.unchanged(("silent", *key), _heartbeats(item), now)
        return silent

    def _location(self) -> str:
        try:
            return self._runner.location()
        except RunInputError as error:
            # The next start is refused with the same message.
            logger.debug("the location of this trigger's runs is unknown: %s", error)
            return ""

    def _announced(self, items: tuple[WorkItem, ...], now: float) -> dict[tuple[WorkItemId, int], float]:
        return {
            (item.id, item.attempt): float("inf")
            if item.announced_by == self._by
            else self._unchanged.unchanged(("announced", item.id, item.attempt), True, now)
            for item in items
            if item.attempt and not item.last_runs and not item.confirmed
        }

    def _gone(self, items: tuple[WorkItem, ...], now: float) -> dict[tuple[WorkItemId, int], float]:
        return {
            (item.id, item.attempt): self._unchanged.unchanged(("gone", item.id, item.attempt), True, now)
            for item in items
            if item.attempt and not item.last_runs and (item.confirmed or item.recorded_ending)
        }

    def _policies_of(self, items: tuple[WorkItem, ...]) -> dict[WorkItemId, Policy]:
        """Return the policy of each item: its pipeline's, overridden by the parameters file of its own input commit."""
        sources = {(item.id.pipeline, item.commits[-1].source) for item in items}
        self._from_file = {key: policy for key, policy in self._from_file.items() if key in sources}
        return {item.id: self._policy(item.id.pipeline, item.commits[-1].source) for item in items}

    def _policy(self, pipeline: str, source: CommitId | None) -> Policy:
        default = self._policies[pipeline]
        if source is None:
            return default
        if (pipeline, source) not in self._from_file:
            commit = inspect(self._client, source.repo, source.id)
            if not commit.ended:
                # Its parameters file may still be written: until it is known, the commit set must not be superseded.
                return replace(default, policy="every")
            if commit.error:
                # A commit with an error may be unreadable.
                return default
            self._from_file[pipeline, source] = self._read_policy(source, default)
        return self._from_file[pipeline, source]

    def _read_policy(self, source: CommitId, default: Policy) -> Policy:
        content = read(self._client, source.repo, source.id, PARAMETERS_FILE)
        if content is None:
            return default
        try:
            return of_parameters_file(default, content.decode(errors="replace"), f"{source.repo}:{PARAMETERS_FILE}")
        except RunInputError as error:
            # The stage refuses the file with its own error; the trigger goes on with other commit sets.
            logger.warning("%s; the pipeline's policy applies", error, extra={"commit_set": source.id})
            return default


def _heartbeats(item: WorkItem) -> object:
    """Return a value that changes while an attempt starts and works.

    The end of a claim is left out: any trigger that misses heartbeats may write it.
    """
    claims = [
        (entry.commit.repo, claim.number, claim.alive)
        for entry in item.commits
        for claim in claims_of(entry.commit.metadata)
    ]
    return item.confirmed, [(entry.commit.repo, entry.commit.state) for entry in item.commits], claims
