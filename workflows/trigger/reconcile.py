"""The reconcile function: from a snapshot to a plan. Pure and level-triggered; it reads no clock and writes nothing."""

from __future__ import annotations

from pachyderm.client.commits import CommitId
from pachyderm.queue.claims import STALE_AFTER, Claim, live_claim
from workflows.runners.runner import Phase
from workflows.settings.policy import Policy
from workflows.trigger.actions import Action, ActionPlan, End, GiveBack, Note, Reopen, Start, Terminate, WaitingItem
from workflows.trigger.attempts import (
    Ending,
    ending_of,
    ending_out_of_sight,
    endings_of,
    exhausted_budget,
    failures,
    interruptions_in_a_row,
    started_elsewhere,
)
from workflows.trigger.coverage import covering
from workflows.trigger.snapshot import Snapshot
from workflows.trigger.start_reason import attempt_reason
from workflows.trigger.work_items import SeenRun, WorkItem, WorkItemId

LINGER = 120.0
"""Seconds that a run may outlive the last commit of its commit set; after that it has nothing left to fill."""

FREE_INTERRUPTIONS = 3
"""Consecutive interruptions after each of which the next attempt starts at once; later ones back off like failures."""

CONFIRMED_WITHIN = 60.0
"""Seconds that another trigger has to confirm a start that it announced."""

STARTS_WITHIN = STALE_AFTER
"""Seconds without a heartbeat after which a run out of sight counts as interrupted.

If it is only waiting for a node, it is started twice; the claim keeps the effect single.
"""


def reconcile(snapshot: Snapshot) -> ActionPlan:
    """Decide what to do now.

    Args:
        snapshot: the result of one poll.

    Returns:
        the actions in order of execution, and the obstacle of every other work item.
    """
    return _Reconciliation(snapshot).plan()


class _Reconciliation:
    """The state of one call: actions and obstacles so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._runs = {run.state.run: run for run in snapshot.runs}
        self._slots = snapshot.slots
        self._actions: list[Action] = []
        self._waiting: list[WaitingItem] = []
        self._busy: dict[WorkItemId, str] = {}
        self._due: dict[WorkItemId, float] = {}
        self._elsewhere: set[WorkItemId] = set()
        self._endings: dict[WorkItemId, Ending] = {}
        self._ended: set[WorkItemId] = set()
        self._begun: set[str] = set()

    def plan(self) -> ActionPlan:
        for item in self._snapshot.items:
            self._judge_runs_and_claims(item)
            self._judge_run_out_of_sight(item)
        for item in self._snapshot.items:
            if item.id not in self._busy:
                self._end_if_hopeless(item)
        self._supersede()
        for item in self._snapshot.items:
            self._start_or_wait(item)
        self._terminate_idle()
        for pipeline, commit in self._snapshot.uncovered.items():
            self._actions.append(Reopen(pipeline, commit))
        return ActionPlan(tuple(self._actions), tuple(self._waiting))

    def _policy(self, item: WorkItem) -> Policy:
        return self._snapshot.policies.get(item.id) or Policy()

    def _judge_runs_and_claims(self, item: WorkItem) -> None:
        """Give back the claims of runs that are over, record how attempts ended, and find out who works on the item."""
        # An earlier attempt may still be live beside the last one, if a trigger that cannot see it started the latter.
        live = [run for run in item.runs if not run.state.over]
        for entry in item.commits:
            claim = live_claim(entry.commit.metadata)
            if entry.commit.state != "open" or claim is None:
                continue
            over = self._over(entry.commit.repo, entry.commit.id, claim)
            if over is None:
                self._busy[item.id] = f"run {claim.holder} is working on {entry.commit}"
                if claim.holder not in self._runs:
                    self._elsewhere.add(item.id)
            else:
                self._actions.append(GiveBack(item.id, entry.commit, claim.number, over))
        if live:
            self._busy.setdefault(item.id, f"run {live[0].state.run} is working on it")
            self._terminate_duplicates(item, [run for run in item.last_runs if not run.state.over])
        elif item.last_runs and item.recorded_ending is None and item.id not in self._busy and not item.finishing:
            self._endings[item.id] = ending_of(item, item.last_runs[-1].state)
            self._note(item)

    def _over(self, repo: str, commit_id: str, claim: Claim) -> str | None:
        """Return why a claim that was not given back no longer holds; None while it holds."""
        run = self._runs.get(claim.holder)
        if run is not None:
            return f"run {claim.holder} is over: {run.state.phase}" if run.state.over else None
        silence = self._snapshot.claim_unchanged_for.get((repo, commit_id, claim.number), 0.0)
        return f"no heartbeat for {silence:.0f} s" if silence >= STALE_AFTER else None

    def _terminate_duplicates(self, item: WorkItem, live: list[SeenRun]) -> None:
        """Of several live runs of one attempt, keep the one that holds a claim, else the oldest."""
        if len(live) < 2:
            return
        claims = [live_claim(entry.commit.metadata) for entry in item.commits]
        holders = {claim.holder for claim in claims if claim is not None}
        first = min(live, key=lambda r: (r.state.ending, r.state.run not in holders, r.state.started, r.state.run))
        for run in live:
            if run is not first and not run.state.ending:
                why = f"two creators started {run.state.key.display_name if run.state.key else 'it'} at once"
                self._actions.append(Terminate(run.state.run, why))

    def _judge_run_out_of_sight(self, item: WorkItem) -> None:
        """Leave a run that this trigger cannot see alone while it may work or start; otherwise judge how it ended."""
        if item.id in self._busy or item.last_runs or item.recorded_ending is not None or item.finishing:
            return
        silence = self._snapshot.silent_for.get((item.id, item.attempt))
        if silence is not None:
            left = (STARTS_WITHIN if item.confirmed else CONFIRMED_WITHIN) - silence
            if left > 0:
                self._busy[item.id] = f"attempt {item.attempt}, which {started_elsewhere(item)}, may be starting"
                self._due[item.id] = left
                self._elsewhere.add(item.id)
                return
        if silence is not None or item.confirmed:
            self._endings[item.id] = ending_out_of_sight(item, silence)

    def _note(self, item: WorkItem) -> None:
        ending = self._endings[item.id]
        self._actions.append(
            Note(
                item.id,
                item.anchor,
                ending.attempt,
                ending.decision,
                ending.reason,
                ending.run,
                ending.progress,
                ending.kept,
            )
        )

    def _endings_of(self, item: WorkItem) -> tuple[Ending, ...]:
        return endings_of(item, self._endings.get(item.id))

    def _end_if_hopeless(self, item: WorkItem) -> None:
        failed_input = item.inputs.failed
        last = item.last_runs[-1].state if item.last_runs else None
        terminated = (last is not None and last.phase is Phase.TERMINATED) or (
            item.recorded_ending is not None and item.recorded_ending.decision == Phase.TERMINATED
        )
        if failed_input is not None:
            state, commit, error = failed_input
            # Along a chain of failures, keep the first cause at the front.
            self._end(
                item, error if state == "superseded" else f"{state}: {commit}: {error.removeprefix(state + ': ')}"
            )
        elif terminated and item.attempt > item.forgiven:
            run = last.run if last else item.recorded_ending.run if item.recorded_ending else ""
            self._end(item, f"cancelled: run {run} was terminated; `pix2pix retry {item.id.commit_set}` runs it again")
        else:
            self._end_if_exhausted(item)

    def _end_if_exhausted(self, item: WorkItem) -> None:
        """End a work item one of whose budgets of failures and interruptions is exhausted."""
        exhausted = exhausted_budget(self._endings_of(item), self._policy(item))
        if exhausted is None:
            return
        what, last = exhausted
        where = f"last in run {last.run}" if last.run else "last"
        again = f"fix the cause, then: pix2pix retry {item.id.commit_set}"
        self._end(item, f"failed: {item.id.pipeline} {what}, {where}: {last.reason}; {again}")

    def _end(self, item: WorkItem, error: str) -> None:
        run = item.last_runs[-1].state.run if item.last_runs else ""
        commits = tuple(entry.commit for entry in item.commits if entry.commit.state == "open")
        if commits:
            self._actions.append(End(item.id, commits, error, run, item.attempt))
            self._ended.add(item.id)

    def _supersede(self) -> None:
        """Under `latest`, end what a newer commit set covers, unless a run works on it or another item needs it."""
        needed: set[CommitId] = set()
        newer: dict[str, list[WorkItem]] = {}
        superseded: list[tuple[WorkItem, WorkItem]] = []
        for item in reversed(self._snapshot.items):
            if item.id in self._ended:
                continue
            by = covering(item, newer.setdefault(item.id.pipeline, []))
            newer[item.id.pipeline].append(item)
            if (
                by is None
                or self._policy(item).policy != "latest"
                or item.pinned
                or item.id in self._busy
                or item.finishing
                or bool(item.commit_ids & needed)
                or self._announced_by_another(item)
            ):
                needed.update(CommitId(i.repo, i.id) for c in item.commits for i in c.inputs)
            else:
                superseded.append((item, by))
        for item, by in reversed(superseded):
            self._end(item, f"superseded: by {by.id.commit_set}")

    def _announced_by_another(self, item: WorkItem) -> bool:
        """Return whether another trigger announced a start that may still happen."""
        if self._snapshot.atomic_start or item.attempt == 0 or item.confirmed or item.last_runs:
            return False
        return self._snapshot.announced_for.get((item.id, item.attempt), 0.0) < CONFIRMED_WITHIN

    def _start_or_wait(self, item: WorkItem) -> None:
        if item.id in self._ended:
            return
        obstacle, seconds = self._obstacle(item)
        if obstacle is not None:
            self._waiting.append(WaitingItem(item.id, obstacle, seconds, item.id in self._elsewhere))
            return
        # An announced attempt whose run was never seen may or may not have been created: search for it, then start it.
        unseen = item.attempt > 0 and not item.last_runs and not item.confirmed and item.recorded_ending is None
        resumed = unseen and item.id not in self._endings
        attempt = item.attempt if resumed else item.attempt + 1
        if item.id in self._endings and not item.last_runs:
            # Record it only now: a run that was briefly out of sight may have come back in the meantime.
            self._note(item)
        commits = tuple(entry.commit for entry in item.commits)
        reason = attempt_reason(item, attempt, self._actions)
        self._actions.append(Start(item.id, commits, attempt, reason, announced=resumed))
        self._slots -= 1
        self._begun.add(item.id.pipeline)

    def _obstacle(self, item: WorkItem) -> tuple[str | None, float | None]:
        """Return why a work item is not started now, and the seconds after which that changes by itself."""
        if item.finishing:
            return f"{item.anchor} is being validated by the server", None
        if item.id in self._busy:
            return self._busy[item.id], self._due.get(item.id)
        pending = item.inputs.pending
        if pending is not None:
            return f"{pending} is not finished", None
        older = self._older(item)
        if older is not None:
            return f"{older} is older and still open", None
        if self._announced_by_another(item):
            spent = self._snapshot.announced_for.get((item.id, item.attempt), 0.0)
            return f"another trigger is starting attempt {item.attempt}", CONFIRMED_WITHIN - spent
        left = self._back_off(item)
        if left > 0:
            ending = "was interrupted" if self._endings_of(item)[-1].interrupted else "failed"
            return f"attempt {item.attempt} {ending}; the next one in {left:.0f} s", left
        left = self._interval(item)
        if left > 0:
            return f"minimum interval: {left:.0f} s left", left
        if self._slots <= 0:
            return "max_concurrent_runs runs are live", None
        return None, None

    def _older(self, item: WorkItem) -> WorkItemId | None:
        """Return an older work item that must be finished first on one of its branches."""
        for entry in item.commits:
            first = next(
                other for other in self._snapshot.chains[entry.branch] if other == item.id or other not in self._ended
            )
            if first != item.id:
                return first
        return None

    def _back_off(self, item: WorkItem) -> float:
        endings = self._endings_of(item)
        if not endings or endings[-1].attempt != item.attempt:
            return 0.0
        if item.last_runs:
            over_for = item.last_runs[-1].over_for
        else:
            over_for = self._snapshot.gone_for.get((item.id, item.attempt), 0.0)
        # An interrupted attempt is repeated at once; repeated interruptions back off like failures.
        interrupted = interruptions_in_a_row(endings)
        count = interrupted - FREE_INTERRUPTIONS
        if not endings[-1].interrupted:
            count = max(failures(endings).without_progress, 1)
        return self._policy(item).delay(count) - over_for if count > 0 else 0.0

    def _interval(self, item: WorkItem) -> float:
        minimum = self._policy(item).minimum_interval
        if not minimum or item.attempt > 0:
            return 0.0
        if item.id.pipeline in self._begun:
            return minimum
        return minimum - self._snapshot.since_start.get(item.id.pipeline, float("inf"))

    def _terminate_idle(self) -> None:
        """Terminate runs whose commits were dropped or have ended."""
        open_items = {item.id for item in self._snapshot.items}
        for run in self._snapshot.runs:
            key = run.state.key
            if key is None or run.state.over or WorkItemId(key.commit_set, key.pipeline) in open_items:
                continue
            if run.idle_for >= LINGER and not run.state.ending:
                self._actions.append(
                    Terminate(run.state.run, "the commits of its commit set were dropped or have ended")
                )
