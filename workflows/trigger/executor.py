"""Carries the actions of a plan out, each with its decision written down before or after it.

It exists so that deciding stays pure, and doing has no opinions: what somebody else did first is left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import grpc

from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection
from pachyderm.dag.repos import PIPELINES
from pachyderm.errors import RequestError
from pachyderm.queue.claims import give_back
from pachyderm.queue.decisions import ANNOUNCED, CONFIRMED, Decision, record, stamp
from pachyderm.queue.ends import finish_with
from pachyderm.queue.retry import open_again
from workflows.errors import RunInputError, UnclearAnswerError
from workflows.runners.runner import RunKey, Runner, RunState
from workflows.settings.arguments import COMMIT_SET
from workflows.trigger.attempts import INTERRUPTIONS
from workflows.trigger.snapshot import Action, ActionPlan, End, GiveBack, Note, Reopen, Start, Terminate, WorkItemId

logger = logging.getLogger(__name__)


class ActionExecutor:
    """Does what a plan says.

    Args:
        client: the connection.
        runner: what runs the pipelines.
        by: who decides, ``host:process``; stands in each decision.
        wall: seconds since 1970.
        started: is told the pipeline of each set's first run.
    """

    def __init__(
        self,
        client: Connection,
        runner: Runner,
        by: str,
        wall: Callable[[], float],
        started: Callable[[str], None],
    ) -> None:
        self._client = client
        self._runner = runner
        self._by = by
        self._wall = wall
        self._started = started
        self._stuck: set[str] = set()
        self._told_to_end: set[str] = set()

    def carry_out(self, plan: ActionPlan, is_leader: Callable[[], bool]) -> tuple[Action, ...]:
        """Do all of a plan, in its order.

        Args:
            plan: what to do.
            is_leader: asked before each action; what is left when the lead is lost is another's to do.

        Returns:
            the actions that had an effect.

        Raises:
            RunnerUnreachableError: the runner does not answer; what was done before stays done.
        """
        self._stuck = set()
        return tuple(action for action in plan.actions if is_leader() and self._do(action))

    def _do(self, action: Action) -> bool:
        try:
            match action:
                case GiveBack():
                    return give_back(self._client, action.commit, action.number, action.why)
                case Note():
                    return self._note(action)
                case End():
                    return self._end(action)
                case Start():
                    return action.item.pipeline not in self._stuck and self._start(action)
                case Reopen():
                    return self._reopen(action)
                case Terminate():
                    return self._terminate(action)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND and "not found" not in (error.details() or ""):
                raise
            logger.info("a commit of %s is gone: %s", action, error.details())
        except RequestError as error:
            logger.info("a commit of %s is gone: %s", action, error)
        return False

    def _reopen(self, action: Reopen) -> bool:
        pipeline = next(one for one in PIPELINES if one.name == action.pipeline)
        first = head(self._client, pipeline.outputs[0])
        # Where the first output did not end well either, nothing downstream of it can.
        commits = [action.commit if first.state == "good" else first]
        made = open_again(self._client, [(pipeline, commits)], self._by, self._wall())
        logger.info("%s was superseded by what is gone; the fresh set is %s", action.commit, made)
        return True

    def _terminate(self, action: Terminate) -> bool:
        self._runner.terminate(action.run, action.why)
        # A run may take its time to end, or not even say that it is ending.
        first = action.run not in self._told_to_end
        self._told_to_end.add(action.run)
        if first:
            logger.warning("run %s is ended: %s", action.run, action.why, extra={"run": action.run})
        return first

    def _note(self, note: Note) -> bool:
        level = logging.INFO if note.decision in INTERRUPTIONS else logging.WARNING
        logger.log(
            level, "%s attempt %d %s: %s", note.item, note.attempt, note.decision, note.reason, extra=_names(note)
        )
        made = self._decision(note.decision, note.reason, note.run, note.attempt)
        return record(self._client, note.commit, f"{note.attempt}.over", replace(made, progress=note.progress))

    def _end(self, end: End) -> bool:
        word, _, reason = end.error.partition(":")
        effects = [finish_with(self._client, commit, end.error) for commit in end.commits]
        if not any(effects) and any(self._still_open(commit) for commit in end.commits):
            # A newer set of the pipeline must not be finished before this one.
            self._stuck.add(end.item.pipeline)
        if any(effects):
            logger.info("%s ends: %s", end.item, end.error, extra=_names(end))
            self._record(end.commits[-1], f"{end.attempt}.end", word, reason.strip(), end.run, end.attempt)
        return any(effects)

    def _still_open(self, commit: Commit) -> bool:
        now = inspect(self._client, commit.repo, commit.id)
        return now.id == commit.id and now.state == "open"

    def _start(self, start: Start) -> bool:
        key = RunKey(start.item.pipeline, start.item.commit_set, start.attempt)
        try:
            if not start.announced and not self._announce(start):
                logger.info("another trigger starts %s", key.display_name, extra=_names(start))
                return False
            state = self._runner.start(key, {COMMIT_SET: start.item.commit_set})
        except RunInputError as error:
            self._refused(start, error)
            return True
        except UnclearAnswerError as error:
            # The announcement stands, so the next look searches for the run before it asks for it again.
            logger.warning("%s may have been started: %s", key.display_name, error, extra=_names(start))
            return False
        self._confirm(start, state)
        return True

    def _announce(self, start: Start) -> bool:
        """Announce an attempt with the place of its run; False where another trigger has announced it."""
        made = self._decision(ANNOUNCED, start.reason, "", start.attempt)
        place = replace(made, where=self._runner.place())
        return record(self._client, start.commits[-1], f"{start.attempt}.start", place)

    def _refused(self, start: Start, error: RunInputError) -> None:
        """End a set whose run cannot be started as it is: trying again cannot help."""
        logger.error("%s cannot be started: %s", start.item, error, extra=_names(start))
        self._record(start.commits[-1], f"{start.attempt}.over", "failed", str(error), "", start.attempt)
        retry = f"then: pix2pix retry {start.item.commit_set}"
        for commit in start.commits:
            finish_with(self._client, commit, f"failed: {start.item.pipeline} cannot be started: {error}; {retry}")

    def _confirm(self, start: Start, state: RunState) -> None:
        logger.info("run %s of %s: %s", state.run, start.item, start.reason, extra=_names(start, state.run))
        if start.attempt == 1:
            self._started(start.item.pipeline)
        self._record(start.commits[-1], f"{start.attempt}.started", CONFIRMED, state.link, state.run, start.attempt)

    def _record(self, commit: Commit, slot: str, decision: str, reason: str, run: str, attempt: int) -> bool:
        return record(self._client, commit, slot, self._decision(decision, reason, run, attempt))

    def _decision(self, decision: str, reason: str, run: str, attempt: int) -> Decision:
        return Decision(stamp(self._wall()), decision, reason, run, attempt, self._by)


def _names(action: Start | End | Note, run: str = "") -> dict[str, str]:
    item: WorkItemId = action.item
    named = run or getattr(action, "run", "")
    return {"commit_set": item.commit_set, "pipeline": item.pipeline, **({"run": named} if named else {})}
