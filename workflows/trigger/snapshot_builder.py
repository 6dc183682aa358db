"""Looks at Pachyderm and at the runner, and measures with one clock how long things have been as they are.

It exists so that `reconcile` needs no clock: claims, ends of runs and announced starts carry times of other machines,
and only the observer's own monotonic clock says how long ago something was seen to change.
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
from workflows.trigger.snapshot import SeenRun, Snapshot, WorkItemId
from workflows.trigger.work_items import WorkItem, work_items_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clock:
    """The time, twice: what only ever goes forward, and what other machines also know.

    Attributes:
        steady: seconds from an arbitrary start.
        wall: seconds since 1970; may jump.
    """

    steady: Callable[[], float]
    wall: Callable[[], float]


@dataclass
class UnchangedTimer:
    """Remembers since when things have been as they are; what is not asked about any more is forgotten."""

    _seen: dict[Hashable, tuple[object, float]] = field(default_factory=dict)
    _asked: set[Hashable] = field(default_factory=set)

    def unchanged(self, key: Hashable, value: object, now: float, head_start: float = 0.0) -> float:
        """Seconds since `key` has had this `value`; `head_start` of them at the first time."""
        self._asked.add(key)
        before = self._seen.get(key)
        if before is None or before[0] != value:
            self._seen[key] = (value, now - head_start)
            return head_start
        return now - before[1]

    def forget_unasked(self) -> None:
        """Drop what was not asked about since the last call."""
        self._seen = {key: value for key, value in self._seen.items() if key in self._asked}
        self._asked = set()


class SnapshotBuilder:
    """Makes one `Snapshot` after the other.

    Args:
        client: the connection.
        runner: what runs the pipelines.
        policies: pipeline -> policy, before what an input's own file says.
        max_concurrent_runs: live runs allowed at once.
        by: who we are; starts that we announced ourselves need no grace.
        clock: the time.
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
        self._at_once = max_concurrent_runs
        self._by = by
        self._clock = clock
        self._open = OpenCommits(client)
        self._since = UnchangedTimer()
        self._over: dict[str, RunState] = {}
        self._from_file: dict[tuple[str, CommitId], Policy] = {}
        self._last_start: dict[str, float] = {}

    def started(self, pipeline: str) -> None:
        """Take note that a set's first run was started now."""
        self._last_start[pipeline] = self._clock.steady()

    def look(self) -> Snapshot:
        """Look once."""
        commits = self._open.scan()
        before = set(self._over)
        states = self._states(commits)
        if set(self._over) - before:
            # These runs ended after the commits were read: what they filled would look open still.
            commits = self._open.scan()
        now = self._clock.steady()
        runs = self._seen(states, commits, now)
        items = work_items_of(commits, runs)
        snapshot = Snapshot(
            commits=commits,
            runs=runs,
            quiet=self._quiet(commits, now),
            silent_for=self._silence(items, now),
            intent_for=self._intents(items, now),
            gone_for=self._gone(items, now),
            policies=self._policies_of(items),
            since_start={pipeline: now - then for pipeline, then in self._last_start.items()},
            slots=self._at_once - sum(1 for run in runs if not run.state.over and run.state.key is not None),
            uncovered=self._uncovered(),
            sole_creator=self._runner.one_creator,
        )
        self._since.forget_unasked()
        return snapshot

    def _uncovered(self) -> dict[str, Commit]:
        """What is newest was superseded once: what superseded it is not there any more."""
        heads = ((pipeline.name, self._open.heads.get(pipeline.outputs[-1])) for pipeline in PIPELINES)
        return {name: head for name, head in heads if head is not None and head.state == "superseded"}

    def _states(self, commits: tuple[OpenCommit, ...]) -> tuple[RunState, ...]:
        """The live runs, the last run of each open set, and the holders of live claims."""
        states = {state.run: state for state in self._runner.live()}
        live_keys = {state.key for state in states.values()}
        ended: dict[str, RunState] = {}
        for item in work_items_of(commits, ()):
            key = RunKey(item.id.pipeline, item.id.commit_set, item.attempt)
            if item.attempt and key not in live_keys:
                known = [state for state in self._over.values() if state.key == key]
                ended.update((state.run, state) for state in known or self._runner.find(key))
        for one in commits:
            claim = live_claim(one.commit.metadata)
            if claim is not None and claim.holder not in states and claim.holder not in ended:
                known_holder = self._over.get(claim.holder) or self._runner.state(claim.holder)
                if known_holder is not None:
                    ended[claim.holder] = known_holder
        states.update((run, state) for run, state in ended.items() if run not in states)
        self._over = {run: state for run, state in states.items() if state.over}
        return tuple(sorted(states.values(), key=lambda state: (state.started, state.run)))

    def _seen(self, states: tuple[RunState, ...], commits: tuple[OpenCommit, ...], now: float) -> tuple[SeenRun, ...]:
        open_sets = {item.id for item in work_items_of(commits, ())}
        seen = []
        for state in states:
            over_for = idle_for = 0.0
            if state.over:
                ago = max(0.0, self._clock.wall() - state.ended) if state.ended is not None else 0.0
                over_for = self._since.unchanged(("over", state.run), True, now, head_start=ago)
            elif state.key is not None and WorkItemId(state.key.commit_set, state.key.pipeline) not in open_sets:
                idle_for = self._since.unchanged(("idle", state.run), True, now)
            seen.append(SeenRun(state, over_for, idle_for))
        return tuple(seen)

    def _quiet(self, commits: tuple[OpenCommit, ...], now: float) -> dict[tuple[str, str, int], float]:
        quiet = {}
        for one in commits:
            claim = live_claim(one.commit.metadata)
            if claim is not None:
                key = (one.commit.repo, one.commit.id, claim.number)
                quiet[key] = self._since.unchanged(("claim", key), claim.alive, now)
        return quiet

    def _silence(self, items: tuple[WorkItem, ...], now: float) -> dict[tuple[WorkItemId, int], float]:
        """How long nothing has been heard of attempts that were started at another place."""
        silent = {}
        for item in items:
            out_of_sight = item.attempt and not item.last_runs and item.noted is None
            if out_of_sight and item.announced_where != self._place():
                key = (item.id, item.attempt)
                silent[key] = self._since.unchanged(("silent", *key), _signs_of_life(item), now)
        return silent

    def _place(self) -> str:
        try:
            return self._runner.place()
        except RunInputError as error:
            # Whatever is started there next is refused with the same words.
            logger.debug("the place of this trigger's runs is not known: %s", error)
            return ""

    def _intents(self, items: tuple[WorkItem, ...], now: float) -> dict[tuple[WorkItemId, int], float]:
        return {
            (item.id, item.attempt): float("inf")
            if item.announced_by == self._by
            else self._since.unchanged(("intent", item.id, item.attempt), True, now)
            for item in items
            if item.attempt and not item.last_runs and not item.confirmed
        }

    def _gone(self, items: tuple[WorkItem, ...], now: float) -> dict[tuple[WorkItemId, int], float]:
        return {
            (item.id, item.attempt): self._since.unchanged(("gone", item.id, item.attempt), True, now)
            for item in items
            if item.attempt and not item.last_runs and (item.confirmed or item.noted)
        }

    def _policies_of(self, items: tuple[WorkItem, ...]) -> dict[WorkItemId, Policy]:
        """The policy of each item: its pipeline's, changed by what its own input commit says."""
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
                # Its file may be still to come: until it is known the set is not superseded.
                return replace(default, policy="every")
            if commit.error:
                # It may not even be readable.
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
            # The stage will refuse the file in words of its own; that must not stop the sets of others.
            logger.warning("%s; the usual policy is used", error, extra={"commit_set": source.id})
            return default


def _signs_of_life(item: WorkItem) -> object:
    """What changes while an attempt starts and works.

    The end of a claim is left out: whoever misses signs of life may end it.
    """
    claims = [
        (entry.commit.repo, claim.number, claim.alive)
        for entry in item.commits
        for claim in claims_of(entry.commit.metadata)
    ]
    return item.confirmed, [(entry.commit.repo, entry.commit.state) for entry in item.commits], claims
