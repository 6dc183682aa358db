"""Executes the actions of a plan, and records each as a decision in the commit's metadata."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import grpc

from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, translate
from pachyderm.dag.repos import PIPELINES
from pachyderm.errors import ConflictError, RequestError
from pachyderm.queue.claims import give_back
from pachyderm.queue.decisions import ANNOUNCED, CONFIRMED, Decision, record, stamp
from pachyderm.queue.ends import finish_with
from pachyderm.queue.retry import open_again
from workflows.errors import RunInputError, UnclearAnswerError
from workflows.runners.runner import RunKey, Runner, RunState
from workflows.settings.arguments import COMMIT_SET
from workflows.trigger.actions import Action, ActionPlan, End, GiveBack, Note, Reopen, Start, Terminate
from workflows.trigger.attempts import INTERRUPTIONS
from workflows.trigger.work_items import WorkItemId

logger = logging.getLogger(__name__)


class ActionExecutor:
    """Executes plans. An action that another trigger or a person has anticipated has no effect.

    Args:
        client: the connection.
        runner: the runner of the pipelines.
        by: identity of the trigger, ``host:process``, recorded in each decision.
        wall: seconds since 1970.
        started: called with the pipeline of each commit set's first run.
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
        self._blocked_pipelines: set[str] = set()
        self._terminated: set[str] = set()

    def execute(self, plan: ActionPlan, is_leader: Callable[[], bool]) -> tuple[Action, ...]:
        """Execute the actions of a plan in order.

        Args:
            plan: the plan.
            is_leader: asked before each action; once the lead is lost, the rest is left to the new leader.

        Returns:
            the actions that had an effect.

        Raises:
            RunnerUnreachableError: the runner does not answer; the actions before keep their effect.
        """
        self._blocked_pipelines = set()
        return tuple(action for action in plan.actions if is_leader() and self._execute(action))

    def _execute(self, action: Action) -> bool:
        try:
            match action:
                case GiveBack():
                    return give_back(self._client, action.commit, action.number, action.why)
                case Note():
                    return self._note(action)
                case End():
                    return self._end(action)
                case Start():
                    return action.item.pipeline not in self._blocked_pipelines and self._start(action)
                case Reopen():
                    return self._reopen(action)
                case Terminate():
                    return self._terminate(action)
        except grpc.RpcError as error:
            if isinstance(translate(error), ConflictError):
                logger.info("%s is repeated at the next poll: %s", action, error.details())
                return False
            if error.code() is not grpc.StatusCode.NOT_FOUND and "not found" not in (error.details() or ""):
                raise
            logger.info("a commit of %s was dropped: %s", action, error.details())
        except RequestError as error:
            logger.info("a commit of %s was dropped: %s", action, error)
        return False

    def _reopen(self, action: Reopen) -> bool:
        pipeline = next(pipeline for pipeline in PIPELINES if pipeline.name == action.pipeline)
        first = head(self._client, pipeline.outputs[0])
        # If the first output is not good either, nothing downstream of it can become good.
        commits = [action.commit if first.state == "good" else first]
        fresh = open_again(self._client, [(pipeline, commits)], self._by, self._wall())
        logger.info("%s was superseded by a dropped commit set; the fresh one is %s", action.commit, fresh)
        return True

    def _terminate(self, action: Terminate) -> bool:
        self._runner.terminate(action.run, action.why)
        # A run may take its time to end, and the runner may not report that it is ending: count the first request only.
        first = action.run not in self._terminated
        self._terminated.add(action.run)
        if first:
            logger.warning("terminating run %s: %s", action.run, action.why, extra={"run": action.run})
        return first

    def _note(self, note: Note) -> bool:
        level = logging.INFO if note.decision in INTERRUPTIONS else logging.WARNING
        logger.log(
            level, "%s attempt %d %s: %s", note.item, note.attempt, note.decision, note.reason, extra=_log_fields(note)
        )
        decision = self._decision(note.decision, note.reason, note.run, note.attempt)
        decision = replace(decision, progress=note.progress, kept=note.kept)
        return record(self._client, note.commit, f"{note.attempt}.over", decision)

    def _end(self, end: End) -> bool:
        state, _, reason = end.error.partition(":")
        effects = [finish_with(self._client, commit, end.error) for commit in end.commits]
        if not any(effects) and any(self._still_open(commit) for commit in end.commits):
            # pachd locks a repo if a good child is finished before its parent: start nothing newer of this pipeline.
            self._blocked_pipelines.add(end.item.pipeline)
        if any(effects):
            logger.info("%s ends: %s", end.item, end.error, extra=_log_fields(end))
            self._record(end.commits[-1], f"{end.attempt}.end", state, reason.strip(), end.run, end.attempt)
        return any(effects)

    def _still_open(self, commit: Commit) -> bool:
        current = inspect(self._client, commit.repo, commit.id)
        return current.id == commit.id and current.state == "open"

    def _start(self, start: Start) -> bool:
        key = RunKey(start.item.pipeline, start.item.commit_set, start.attempt)
        try:
            if not start.announced and not self._announce(start):
                logger.info("another trigger is starting %s", key.display_name, extra=_log_fields(start))
                return False
            state = self._runner.start(key, {COMMIT_SET: start.item.commit_set})
        except RunInputError as error:
            self._refused(start, error)
            return True
        except UnclearAnswerError as error:
            # The announcement stands: the next poll searches for the run before requesting it again.
            logger.warning("%s may have been started: %s", key.display_name, error, extra=_log_fields(start))
            return False
        self._confirm(start, state)
        return True

    def _announce(self, start: Start) -> bool:
        """Announce an attempt with the location of its run; return False if another trigger has announced it."""
        announcement = replace(
            self._decision(ANNOUNCED, start.reason, "", start.attempt), where=self._runner.location()
        )
        return record(self._client, start.commits[-1], f"{start.attempt}.start", announcement)

    def _refused(self, start: Start, error: RunInputError) -> None:
        """End a commit set whose run cannot be started as configured; a retry could not help."""
        logger.error("%s cannot be started: %s", start.item, error, extra=_log_fields(start))
        self._record(start.commits[-1], f"{start.attempt}.over", "failed", str(error), "", start.attempt)
        retry = f"then: pix2pix retry {start.item.commit_set}"
        for commit in start.commits:
            finish_with(self._client, commit, f"failed: {start.item.pipeline} cannot be started: {error}; {retry}")

    def _confirm(self, start: Start, state: RunState) -> None:
        logger.info("run %s of %s: %s", state.run, start.item, start.reason, extra=_log_fields(start, state.run))
        if start.attempt == 1:
            self._started(start.item.pipeline)
        self._record(start.commits[-1], f"{start.attempt}.started", CONFIRMED, state.link, state.run, start.attempt)

    def _record(self, commit: Commit, slot: str, decision: str, reason: str, run: str, attempt: int) -> bool:
        return record(self._client, commit, slot, self._decision(decision, reason, run, attempt))

    def _decision(self, decision: str, reason: str, run: str, attempt: int) -> Decision:
        return Decision(stamp(self._wall()), decision, reason, run, attempt, self._by)


def _log_fields(action: Start | End | Note, run: str = "") -> dict[str, str]:
    item: WorkItemId = action.item
    run = run or getattr(action, "run", "")
    return {"commit_set": item.commit_set, "pipeline": item.pipeline, **({"run": run} if run else {})}
