"""Decides what to do from what is seen: a pure function, called again and again.

It exists as the heart of the trigger: level-triggered, so a lost event costs latency and never a run; and pure, so
every rule of its can be tested by the thousand without a server. It reads no clock and writes nothing.
"""

from __future__ import annotations

from pachyderm.client.commits import CommitId
from pachyderm.queue.claims import STALE_AFTER, Claim, live_claim
from workflows.runners.runner import Phase
from workflows.settings.policy import Policy
from workflows.trigger.attempts import (
    Ending,
    ending_of,
    ending_out_of_sight,
    endings_of,
    failures,
    interruptions_in_a_row,
    started_elsewhere,
)
from workflows.trigger.coverage import covering
from workflows.trigger.snapshot import (
    Action,
    ActionPlan,
    End,
    GiveBack,
    Note,
    Reopen,
    SeenRun,
    Snapshot,
    Start,
    Terminate,
    WaitingItem,
    WorkItemId,
)
from workflows.trigger.start_reason import attempt_reason
from workflows.trigger.work_items import WorkItem, chains_of, work_items_of

LINGER = 120.0
"""Seconds that a run may go on after the last commit of its set has ended; then it has nothing to do."""

FREE_INTERRUPTIONS = 3
"""Interrupted attempts in a row after which a set is started again at once; later ones wait as failed ones do."""

ANOTHER_STARTS = 60.0
"""Seconds that another trigger gets to confirm a start that it has announced."""

STARTS_WITHIN = STALE_AFTER
"""Seconds without a sign of life after which a run that is out of sight counts as gone.

One that still waits for a node is started twice then; the claim keeps the effect single.
"""


def reconcile(snapshot: Snapshot) -> ActionPlan:
    """Decide what to do now.

    Args:
        snapshot: one look.

    Returns:
        the actions in the order in which they are to be done, and why every other item waits.
    """
    return _Look(snapshot).plan()


class _Look:
    """One call: the actions and reasons so far."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._world = snapshot
        self._units = work_items_of(snapshot.commits, snapshot.runs)
        self._chains = chains_of(snapshot.commits)
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
        for item in self._units:
            self._tend_runs_and_claims(item)
            self._judge_out_of_sight(item)
        for item in self._units:
            if item.id not in self._busy:
                self._end_if_hopeless(item)
        self._supersede()
        for item in self._units:
            self._start_or_wait(item)
        self._terminate_idle()
        for pipeline, commit in self._world.uncovered.items():
            self._actions.append(Reopen(pipeline, commit))
        return ActionPlan(tuple(self._actions), tuple(self._waiting))

    def _policy(self, item: WorkItem) -> Policy:
        return self._world.policies.get(item.id) or Policy()

    def _tend_runs_and_claims(self, item: WorkItem) -> None:
        """Give back the claims of runs that are over; note how attempts ended; see what works on the item."""
        # An earlier attempt may live on beside the last one, which a trigger that does not see it has started.
        live = [run for run in item.runs if not run.state.over]
        for one in item.commits:
            claim = live_claim(one.commit.metadata)
            if one.commit.state != "open" or claim is None:
                continue
            over = self._over(one.commit.repo, one.commit.id, claim)
            if over is None:
                self._busy[item.id] = f"run {claim.holder} works on {one.commit}"
                if claim.holder not in self._runs:
                    self._elsewhere.add(item.id)
            else:
                self._actions.append(GiveBack(item.id, one.commit, claim.number, over))
        if live:
            self._busy.setdefault(item.id, f"run {live[0].state.run} works on it")
            self._end_doubles(item, [run for run in item.last_runs if not run.state.over])
        elif item.last_runs and item.noted is None and item.id not in self._busy and not item.checked_only:
            self._endings[item.id] = ending_of(item, item.last_runs[-1].state)
            self._note(item)

    def _over(self, repo: str, commit_id: str, claim: Claim) -> str | None:
        """Why a claim that was not given back does not hold any more; None while it holds."""
        run = self._runs.get(claim.holder)
        if run is not None:
            return f"run {claim.holder} is over: {run.state.phase}" if run.state.over else None
        quiet = self._world.quiet.get((repo, commit_id, claim.number), 0.0)
        return f"no sign of life for {quiet:.0f} s" if quiet >= STALE_AFTER else None

    def _end_doubles(self, item: WorkItem, live: list[SeenRun]) -> None:
        """Of several live runs of one attempt keep the one that has a claim, else the oldest."""
        if len(live) < 2:
            return
        claims = [live_claim(one.commit.metadata) for one in item.commits]
        holders = {claim.holder for claim in claims if claim is not None}
        first = min(live, key=lambda r: (r.state.ending, r.state.run not in holders, r.state.started, r.state.run))
        for run in live:
            if run is not first and not run.state.ending:
                why = f"two creators started {run.state.key.display_name if run.state.key else 'it'} at once"
                self._actions.append(Terminate(run.state.run, why))

    def _judge_out_of_sight(self, item: WorkItem) -> None:
        """Leave a run alone that this trigger cannot see, while it may work or start; else judge how it ended."""
        if item.id in self._busy or item.last_runs or item.noted is not None or item.checked_only:
            return
        silence = self._world.silent_for.get((item.id, item.attempt))
        if silence is not None:
            left = (STARTS_WITHIN if item.confirmed else ANOTHER_STARTS) - silence
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
            Note(item.id, item.anchor, ending.attempt, ending.decision, ending.reason, ending.run, ending.progress)
        )

    def _endings_of(self, item: WorkItem) -> tuple[Ending, ...]:
        return endings_of(item, self._endings.get(item.id))

    def _end_if_hopeless(self, item: WorkItem) -> None:
        bad = item.inputs().bad
        last = item.last_runs[-1].state if item.last_runs else None
        terminated = (last is not None and last.phase is Phase.TERMINATED) or (
            item.noted is not None and item.noted.decision == Phase.TERMINATED
        )
        if bad is not None:
            word, commit, error = bad
            # The first cause keeps its place at the front of a chain of failures.
            self._end(item, error if word == "superseded" else f"{word}: {commit}: {error.removeprefix(word + ': ')}")
        elif terminated and item.attempt > item.forgiven:
            name = last.run if last else item.noted.run if item.noted else ""
            self._end(item, f"cancelled: run {name} was terminated; `pix2pix retry {item.id.commit_set}` runs it again")
        else:
            self._end_if_exhausted(item)

    def _end_if_exhausted(self, item: WorkItem) -> None:
        """End a item that failed as often as allowed, or was interrupted so often that it cannot be chance."""
        endings, policy = self._endings_of(item), self._policy(item)
        failed, row = failures(endings), interruptions_in_a_row(endings)
        if failed >= policy.attempts:
            what = f"failed {failed} time{'s' if failed > 1 else ''}"
            last = next(ending for ending in reversed(endings) if not ending.interrupted)
        elif row >= policy.interruptions:
            what = f"was interrupted {row} times in a row without progress (the limit, `interruptions`)"
            last = endings[-1]
        else:
            return
        where = f"last in run {last.run}" if last.run else "last"
        again = f"fix the cause, then: pix2pix retry {item.id.commit_set}"
        self._end(item, f"failed: {item.id.pipeline} {what}, {where}: {last.reason}; {again}")

    def _end(self, item: WorkItem, error: str) -> None:
        run = item.last_runs[-1].state.run if item.last_runs else ""
        commits = tuple(one.commit for one in item.commits if one.commit.state == "open")
        if commits:
            self._actions.append(End(item.id, commits, error, run, item.attempt))
            self._ended.add(item.id)

    def _supersede(self) -> None:
        """Under `latest`: end what a newer set covers, unless somebody works on it or needs it."""
        needed: set[CommitId] = set()
        newer: dict[str, list[WorkItem]] = {}
        superseded: list[tuple[WorkItem, WorkItem]] = []
        for item in reversed(self._units):
            if item.id in self._ended:
                continue
            by = covering(item, newer.setdefault(item.id.pipeline, []))
            newer[item.id.pipeline].append(item)
            if (
                by is None
                or self._policy(item).policy != "latest"
                or item.pinned
                or item.id in self._busy
                or item.checked_only
                or bool(item.own & needed)
                or self._announced_by_another(item)
            ):
                needed.update(CommitId(i.repo, i.id) for c in item.commits for i in c.inputs)
            else:
                superseded.append((item, by))
        for item, by in reversed(superseded):
            self._end(item, f"superseded: by {by.id.commit_set}")

    def _announced_by_another(self, item: WorkItem) -> bool:
        """Whether a start was announced that may still come true."""
        if self._world.sole_creator or item.attempt == 0 or item.confirmed or item.last_runs:
            return False
        return self._world.intent_for.get((item.id, item.attempt), 0.0) < ANOTHER_STARTS

    def _start_or_wait(self, item: WorkItem) -> None:
        if item.id in self._ended:
            return
        reason, seconds = self._obstacle(item)
        if reason is not None:
            self._waiting.append(WaitingItem(item.id, reason, seconds, item.id in self._elsewhere))
            return
        # An announced attempt whose run nobody has seen: it may have been created or not, and is looked for again.
        unseen = item.attempt > 0 and not item.last_runs and not item.confirmed and item.noted is None
        resumed = unseen and item.id not in self._endings
        attempt = item.attempt if resumed else item.attempt + 1
        if item.id in self._endings and not item.last_runs:
            # Not earlier: a run that was out of sight for a moment may come back meanwhile.
            self._note(item)
        commits = tuple(one.commit for one in item.commits)
        reason = attempt_reason(item, attempt, self._actions)
        self._actions.append(Start(item.id, commits, attempt, reason, announced=resumed))
        self._slots -= 1
        self._begun.add(item.id.pipeline)

    def _obstacle(self, item: WorkItem) -> tuple[str | None, float | None]:
        """Why a item is not started now, and after how many seconds that changes by itself."""
        if item.checked_only:
            return f"{item.anchor} is being checked by the server", None
        if item.id in self._busy:
            return self._busy[item.id], self._due.get(item.id)
        pending = item.inputs().pending
        if pending is not None:
            return f"{pending} is not finished", None
        older = self._older(item)
        if older is not None:
            return f"{older} is older and open", None
        if self._announced_by_another(item):
            spent = self._world.intent_for.get((item.id, item.attempt), 0.0)
            return f"another trigger is starting attempt {item.attempt}", ANOTHER_STARTS - spent
        left = self._back_off(item)
        if left > 0:
            word = "was interrupted" if self._endings_of(item)[-1].interrupted else "failed"
            return f"attempt {item.attempt} {word}; the next one in {left:.0f} s", left
        left = self._interval(item)
        if left > 0:
            return f"minimum interval: {left:.0f} s left", left
        if self._slots <= 0:
            return "as many runs as allowed are running", None
        return None, None

    def _older(self, item: WorkItem) -> WorkItemId | None:
        """An older item that keeps one of its branches from being finished in order."""
        for one in item.commits:
            first = next(other for other in self._chains[one.branch] if other == item.id or other not in self._ended)
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
            over_for = self._world.gone_for.get((item.id, item.attempt), 0.0)
        # What was interrupted goes on at once; where that happens again and again, something else is wrong.
        row = interruptions_in_a_row(endings)
        tries = row - FREE_INTERRUPTIONS if endings[-1].interrupted else failures(endings)
        return self._policy(item).wait(tries) - over_for if tries > 0 else 0.0

    def _interval(self, item: WorkItem) -> float:
        minimum = self._policy(item).minimum_interval
        if not minimum or item.attempt > 0:
            return 0.0
        if item.id.pipeline in self._begun:
            return minimum
        return minimum - self._world.since_start.get(item.id.pipeline, float("inf"))

    def _terminate_idle(self) -> None:
        """End runs whose commits are gone or ended."""
        open_units = {item.id for item in self._units}
        for run in self._world.runs:
            key = run.state.key
            if key is None or run.state.over or WorkItemId(key.commit_set, key.pipeline) in open_units:
                continue
            if run.idle_for >= LINGER and not run.state.ending:
                self._actions.append(Terminate(run.state.run, "the commits of its set are gone or have ended"))
