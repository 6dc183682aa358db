"""Decides what to do from what is seen: a pure function, called again and again.

It exists as the heart of the trigger: level-triggered, so a lost event costs latency and never a run; and pure, so
every rule of its can be tested by the thousand without a server. It reads no clock and writes nothing.
"""

from __future__ import annotations

from pachyderm.claims import STALE_AFTER, Claim, live_claim
from pachyderm.commits import CommitId
from workflows.runners.runner import Phase
from workflows.trigger.policy import Policy
from workflows.trigger.units import Unit, chains_of, last_word, units_of
from workflows.trigger.world import (
    Action,
    End,
    GiveBack,
    Note,
    Plan,
    Reopen,
    SeenRun,
    Start,
    Terminate,
    UnitId,
    Waiting,
    World,
)

LINGER = 120.0
"""Seconds that a run may go on after the last commit of its set has ended; then it has nothing to do."""

FREE_INTERRUPTIONS = 3
"""Interrupted attempts of a set after which it is started again at once; later ones wait as failed ones do."""

ANOTHER_STARTS = 60.0
"""Seconds that another trigger gets to confirm a start that it has announced."""


def reconcile(world: World) -> Plan:
    """Decide what to do now.

    Args:
        world: one look.

    Returns:
        the actions in the order in which they are to be done, and why every other unit waits.
    """
    return _Look(world).plan()


class _Look:
    """One call: the actions and reasons so far."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._units = units_of(world.commits, world.runs)
        self._chains = chains_of(world.commits)
        self._runs = {run.state.run: run for run in world.runs}
        self._slots = world.slots
        self._actions: list[Action] = []
        self._waiting: list[Waiting] = []
        self._busy: dict[UnitId, str] = {}
        self._ended: set[UnitId] = set()
        self._begun: set[str] = set()

    def plan(self) -> Plan:
        for unit in self._units:
            self._tend_runs_and_claims(unit)
        for unit in self._units:
            if unit.id not in self._busy:
                self._end_if_hopeless(unit)
        self._supersede()
        for unit in self._units:
            self._start_or_wait(unit)
        self._terminate_idle()
        for pipeline, commit in self._world.uncovered.items():
            self._actions.append(Reopen(pipeline, commit))
        return Plan(tuple(self._actions), tuple(self._waiting))

    def _policy(self, unit: Unit) -> Policy:
        return self._world.policies.get(unit.id) or Policy()

    def _tend_runs_and_claims(self, unit: Unit) -> None:
        """Give back the claims of runs that are over; note how attempts ended; see what works on the unit."""
        live = [run for run in unit.last_runs if not run.state.over]
        for one in unit.commits:
            claim = live_claim(one.commit.metadata)
            if one.commit.state != "open" or claim is None:
                continue
            over = self._over(one.commit.repo, one.commit.id, claim)
            if over is None:
                self._busy[unit.id] = f"run {claim.holder} works on {one.commit}"
            else:
                self._actions.append(GiveBack(unit.id, one.commit, claim.number, over))
        if live:
            self._busy.setdefault(unit.id, f"run {live[0].state.run} works on it")
            self._end_doubles(unit, live)
        elif unit.last_runs and unit.noted is None and unit.id not in self._busy and not unit.checked_only:
            self._note(unit, unit.last_runs[-1])

    def _over(self, repo: str, commit_id: str, claim: Claim) -> str | None:
        """Why a claim that was not given back does not hold any more; None while it holds."""
        run = self._runs.get(claim.holder)
        if run is not None:
            return f"run {claim.holder} is over: {run.state.phase}" if run.state.over else None
        quiet = self._world.quiet.get((repo, commit_id, claim.number), 0.0)
        return f"no sign of life for {quiet:.0f} s" if quiet >= STALE_AFTER else None

    def _end_doubles(self, unit: Unit, live: list[SeenRun]) -> None:
        """Of several live runs of one attempt keep the one that has a claim, else the oldest."""
        claims = [live_claim(one.commit.metadata) for one in unit.commits]
        holders = {claim.holder for claim in claims if claim is not None}
        first = min(live, key=lambda r: (r.state.ending, r.state.run not in holders, r.state.started, r.state.run))
        for run in live:
            if run is not first and not run.state.ending:
                why = f"two creators started {run.state.key.display_name if run.state.key else 'it'} at once"
                self._actions.append(Terminate(run.state.run, why))

    def _note(self, unit: Unit, run: SeenRun) -> None:
        state = run.state
        reason = state.error or (f"run {state.run} left {unit.anchor} open" if state.phase is Phase.SUCCEEDED else "")
        self._actions.append(Note(unit.id, unit.anchor, unit.attempt, last_word(state.phase), reason, state.run))

    def _end_if_hopeless(self, unit: Unit) -> None:
        bad = unit.inputs().bad
        last = unit.last_runs[-1].state if unit.last_runs else None
        terminated = (last is not None and last.phase is Phase.TERMINATED) or (
            unit.noted is not None and unit.noted.decision == Phase.TERMINATED
        )
        if bad is not None:
            word, commit, error = bad
            # The first cause keeps its place at the front of a chain of failures.
            self._end(unit, error if word == "superseded" else f"{word}: {commit}: {error.removeprefix(word + ': ')}")
        elif terminated and unit.attempt > unit.forgiven:
            name = last.run if last else unit.noted.run if unit.noted else ""
            self._end(unit, f"cancelled: run {name} was terminated; `pix2pix retry {unit.id.commit_set}` runs it again")
        elif self._failures(unit) >= self._policy(unit).attempts:
            self._end(unit, self._failure(unit))

    def _failures(self, unit: Unit) -> int:
        """Failed attempts, the one that is being noted in this very look included."""
        now = sum(
            1
            for action in self._actions
            if isinstance(action, Note)
            and action.unit == unit.id
            and action.decision != Phase.INTERRUPTED
            and action.attempt > unit.forgiven
        )
        return unit.failures() + now + (1 if self._disappeared(unit) and unit.attempt > unit.forgiven else 0)

    def _disappeared(self, unit: Unit) -> bool:
        """Whether the last attempt was seen running once, and its run is not there any more."""
        return unit.confirmed and not unit.last_runs and unit.noted is None

    def _failure(self, unit: Unit) -> str:
        run, why = "", "its run is gone"
        if unit.last_runs:
            run, why = unit.last_runs[-1].state.run, unit.last_runs[-1].state.error
            if unit.last_runs[-1].state.phase is Phase.SUCCEEDED:
                why = f"it succeeded and left {unit.anchor} open"
        elif unit.noted is not None:
            run, why = unit.noted.run, unit.noted.reason
        times = self._failures(unit)
        count = f"{times} time{'s' if times > 1 else ''}"
        return (
            f"failed: {unit.id.pipeline} failed {count}, last in run {run or '?'}: {why}; "
            f"mend the cause, then: pix2pix retry {unit.id.commit_set}"
        )

    def _end(self, unit: Unit, error: str) -> None:
        run = unit.last_runs[-1].state.run if unit.last_runs else ""
        commits = tuple(one.commit for one in unit.commits if one.commit.state == "open")
        if commits:
            self._actions.append(End(unit.id, commits, error, run, unit.attempt))
            self._ended.add(unit.id)

    def _supersede(self) -> None:
        """Under `latest`: end what is older than the newest set, unless somebody works on it or needs it."""
        needed: set[CommitId] = set()
        newest: dict[str, UnitId] = {}
        superseded: list[Unit] = []
        for unit in reversed(self._units):
            if unit.id in self._ended:
                continue
            by = newest.get(unit.id.pipeline)
            keep = (
                by is None
                or self._policy(unit).policy != "latest"
                or unit.pinned
                or unit.id in self._busy
                or unit.checked_only
                or bool(unit.own & needed)
                or self._announced_by_another(unit)
            )
            newest.setdefault(unit.id.pipeline, unit.id)
            if keep:
                needed.update(CommitId(i.repo, i.id) for c in unit.commits for i in c.inputs)
            else:
                superseded.append(unit)
        for unit in reversed(superseded):
            self._end(unit, f"superseded: by {newest[unit.id.pipeline].commit_set}")

    def _announced_by_another(self, unit: Unit) -> bool:
        """Whether a start was announced that may still come true."""
        if self._world.sole_creator or unit.attempt == 0 or unit.confirmed or unit.last_runs:
            return False
        return self._world.intent_for.get((unit.id, unit.attempt), 0.0) < ANOTHER_STARTS

    def _start_or_wait(self, unit: Unit) -> None:
        if unit.id in self._ended:
            return
        reason, seconds = self._obstacle(unit)
        if reason is not None:
            self._waiting.append(Waiting(unit.id, reason, seconds))
            return
        # An announced attempt whose run nobody has seen: it may have been created or not, and is looked for again.
        resumed = unit.attempt > 0 and not unit.last_runs and not unit.confirmed and unit.noted is None
        attempt = unit.attempt if resumed else unit.attempt + 1
        if self._disappeared(unit):
            self._actions.append(
                Note(unit.id, unit.anchor, unit.attempt, Phase.VANISHED, "its run is not there any more", "")
            )
        commits = tuple(one.commit for one in unit.commits)
        self._actions.append(Start(unit.id, commits, attempt, self._reason(unit, attempt), announced=resumed))
        self._slots -= 1
        self._begun.add(unit.id.pipeline)

    def _reason(self, unit: Unit, attempt: int) -> str:
        if attempt == 1:
            return f"open: {', '.join(str(c.commit) for c in unit.commits)}"
        return f"attempt {attempt}, after {unit.noted.decision if unit.noted else 'an attempt without an end'}"

    def _obstacle(self, unit: Unit) -> tuple[str | None, float | None]:
        """Why a unit is not started now, and after how many seconds that changes by itself."""
        if unit.checked_only:
            return f"{unit.anchor} is being checked by the server", None
        if unit.id in self._busy:
            return self._busy[unit.id], None
        pending = unit.inputs().pending
        if pending is not None:
            return f"{pending} is not finished", None
        older = self._older(unit)
        if older is not None:
            return f"{older} is older and open", None
        if self._announced_by_another(unit):
            spent = self._world.intent_for.get((unit.id, unit.attempt), 0.0)
            return f"another trigger is starting attempt {unit.attempt}", ANOTHER_STARTS - spent
        left = self._back_off(unit)
        if left > 0:
            return f"attempt {unit.attempt} failed; the next one in {left:.0f} s", left
        left = self._interval(unit)
        if left > 0:
            return f"minimum interval: {left:.0f} s left", left
        if self._slots <= 0:
            return "as many runs as allowed are running", None
        return None, None

    def _older(self, unit: Unit) -> UnitId | None:
        """An older unit that keeps one of its branches from being finished in order."""
        for one in unit.commits:
            first = next(other for other in self._chains[one.branch] if other == unit.id or other not in self._ended)
            if first != unit.id:
                return first
        return None

    def _back_off(self, unit: Unit) -> float:
        if unit.attempt <= unit.forgiven or not (unit.last_runs or unit.confirmed or unit.noted):
            return 0.0
        last = unit.last_runs[-1] if unit.last_runs else None
        if last is not None:
            interrupted, over_for = last.state.phase is Phase.INTERRUPTED, last.over_for
        else:
            interrupted = unit.noted is not None and unit.noted.decision == Phase.INTERRUPTED
            over_for = self._world.gone_for.get((unit.id, unit.attempt), 0.0)
        if interrupted:
            # What was interrupted goes on at once; where that happens again and again, something else is wrong.
            tries = unit.interruptions() + (unit.noted is None) - FREE_INTERRUPTIONS
        else:
            tries = self._failures(unit)
        return self._policy(unit).wait(tries) - over_for if tries > 0 else 0.0

    def _interval(self, unit: Unit) -> float:
        minimum = self._policy(unit).minimum_interval
        if not minimum or unit.attempt > 0:
            return 0.0
        if unit.id.pipeline in self._begun:
            return minimum
        return minimum - self._world.since_start.get(unit.id.pipeline, float("inf"))

    def _terminate_idle(self) -> None:
        """End runs whose commits are gone or ended."""
        open_units = {unit.id for unit in self._units}
        for run in self._world.runs:
            key = run.state.key
            if key is None or run.state.over or UnitId(key.commit_set, key.pipeline) in open_units:
                continue
            if run.idle_for >= LINGER and not run.state.ending:
                self._actions.append(Terminate(run.state.run, "the commits of its set are gone or have ended"))
