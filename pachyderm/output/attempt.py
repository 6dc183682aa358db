"""One attempt at an output commit: find, claim, reuse, plan, work, publish, finish.

A reader of the commit sees everything of one attempt's result or nothing, even if attempts are started twice, killed,
paused or late.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from pachyderm.attempt_folder import attempt_folder
from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import Expected
from pachyderm.client.files import Listing, content
from pachyderm.dag.repos import pipeline_of
from pachyderm.errors import CommitFailedError, LostClaimError, PermanentError
from pachyderm.output.ancestor import nearest_good, present_in, wait_for_older
from pachyderm.output.derivation import Derivation, derive
from pachyderm.output.finish import finish
from pachyderm.output.gate import publish_judged
from pachyderm.output.plan import Plan
from pachyderm.output.publish import differences, publish
from pachyderm.output.result import Execution, Result, computed, empty, reused
from pachyderm.output.reuse import Filling, filling_of
from pachyderm.output.settlement import settle
from pachyderm.output.stage import Beginning, FanOut, Stage, StageContext
from pachyderm.output.work_in_progress import forgotten, kept
from pachyderm.output.worker import Worker
from pachyderm.queue.claims import (
    Claim,
    HeartbeatMonitor,
    claims_of,
    end_of,
    give_back,
    heartbeats,
    live_claim,
    predecessor,
    take,
    working_claim,
)
from pachyderm.queue.commit_sets import open_fresh
from pachyderm.queue.ends import finish_with, inherited
from pachyderm.record.quarantine import quarantine

logger = logging.getLogger(__name__)


class Attempt:
    """One attempt of a worker at one output commit; each phase is a method and inspects a commit at most once.

    Args:
        client: the connection.
        stage: the stage whose output commit it is.
        commit: the output commit, as it was last inspected.
        worker: who fills it.
        replaced: whether another attempt took the commit over from this worker. It then waits like any other run, so
            that two attempts of one run cannot take the commit from each other for ever.
        fan_out: distributes the datums over several tasks; None computes all of them here.
    """

    def __init__(
        self,
        client: Connection,
        stage: Stage,
        commit: Commit,
        worker: Worker,
        *,
        replaced: bool = False,
        fan_out: FanOut | None = None,
    ) -> None:
        self._client, self._stage, self._commit, self._worker = client, stage, commit, worker
        self._replaced, self._fan_out = replaced, fan_out
        self._inputs: dict[str, Commit] = {}
        self._done = self._total = 0
        self._waits = ""

    def run(self) -> Commit:
        """Fill the commit, or wait for whoever fills it, and return it; running this twice is harmless.

        Returns:
            the commit; still open, and claimed, if its work was handed out to other tasks.

        Raises:
            CommitFailedError: the commit ended with an error, before or now.
        """
        if self._commit.state != "open" or not self.find():
            return self._ended()
        claim = self.claim()
        return self._ended() if claim is None else self.run_claimed(claim)

    def run_claimed(self, claim: Claim) -> Commit:
        """Fill the commit under a claim that the caller took after `find`; results and errors as for `run`."""
        try:
            with heartbeats(
                self._client, self._commit, claim, lambda: (self._done, self._total), waits=lambda: self._waits
            ):
                return self._fill(claim)
        except PermanentError as error:
            latest = self._inspect()
            if _taken_over(latest, claim):
                return self._wait_for_successor(latest, error)
            finish_with(self._client, self._commit, f"failed: {error}")
            return self._ended()
        except LostClaimError as error:
            return self._wait_for_successor(self._inspect(), error)
        except BaseException as error:
            # Failed or interrupted: give the claim back, so that the next attempt can begin at once.
            given_back = give_back(self._client, self._commit, claim.number, end_of(error))
            if not given_back and isinstance(error, Exception) and _taken_over(latest := self._inspect(), claim):
                return self._wait_for_successor(latest, error)
            raise

    def find(self) -> bool:
        """Wait until the inputs and all older commits of the branch have ended.

        Returns:
            False if an input ended with an error; the commit was then finished with the same error.
        """
        for key in self._commit.provenance:
            source = inspect(self._client, key.repo, key.id)
            if not source.ended:
                logger.info("%s waits for its input %s", self._commit, source)
                source = inspect(self._client, key.repo, key.id, wait=True)
            if source.error:
                finish_with(self._client, self._commit, inherited(source, source.error))
                return False
            self._inputs[key.repo] = source
        wait_for_older(self._client, self._commit)
        return True

    def claim(self) -> Claim | None:
        """Claim the commit; return None once another attempt has ended it."""
        monitor, announced = HeartbeatMonitor(self._worker.clock), False
        while True:
            self._commit = self._inspect()
            if self._commit.state != "open":
                return None
            holder = working_claim(self._commit.metadata)
            own_earlier = self._predecessor()
            if holder is None or own_earlier is not None or monitor.stale(self._commit, holder):
                claim = self._take(own_earlier)
                if claim is not None:
                    return claim
                continue
            if not announced:
                logger.info("%s is being filled by the run %s; waiting for it", self._commit, holder.holder)
                announced = True
            self._worker.pause(1.0)

    def _predecessor(self) -> Claim | None:
        """Return the claim of an earlier attempt of the same run, which is taken over at once."""
        if self._replaced:
            return None
        return predecessor(self._commit.metadata, self._worker.run, self._worker.name)

    def _take(self, own_earlier: Claim | None) -> Claim | None:
        worker, reason = self._worker, f"no heartbeat; taken over by {self._worker.run}"
        if own_earlier is not None:
            reason = f"taken over by {worker.name}, the next attempt of the same run"
            logger.info(
                "%s was claimed by %s, an earlier attempt of this run; taking over", self._commit, own_earlier.attempt
            )
        return take(self._client, self._commit, worker.run, worker.name, over=reason)

    def _fill(self, claim: Claim) -> Commit:
        """Fill the claimed commit; return it finished, or open if its work was handed out."""
        started = self._worker.now()
        ancestor = nearest_good(self._client, self._commit, self._stage.datums) if self._stage.datums else None
        present = partial(present_in, self._client, self._commit, ancestor)
        derivation = self._settle(derive(self._client, self._stage, self._commit, self._inputs, ancestor))
        filling = filling_of(self._client, self._stage, self._commit, derivation, ancestor)
        derivation = derivation.with_parent(filling.parent_content)
        with self._context(derivation, claim, filling.start) as context:
            result = self.reuse(filling)
            if result is None:
                planned = filling.plan
                if planned is not None and self._fan_out is not None:
                    planned = self._fan_out.divide(replace(context, plan=planned), derivation.fingerprint, claim.number)
                    if planned is None:
                        return self._commit
                result = self.work(context, planned)
            # A lost claim is noticed here, before anything is uploaded, and again before it becomes visible.
            self._check(claim)
            publish = partial(self.publish, claim, derivation, started=started, present=present)
            result, expected = publish_judged(self._client, self._stage, context, result, publish, self._worker.now)
        ended = self.finish(claim, derivation, result)
        shutil.rmtree(self._keep(derivation), ignore_errors=True)
        if self._fan_out is not None:
            self._fan_out.forget(self._client)
        self._verify(present(), expected)
        return ended

    def reuse(self, filling: Filling) -> Result | None:
        """Return a result that needs no work: an empty one, or a copy of an earlier commit; else None."""
        if filling.awaited is not None:
            logger.info("%s has nothing to work on: %s", self._commit, filling.awaited)
            return empty(filling.awaited)
        if filling.earlier is None:
            return None
        logger.info("%s has the same fingerprint; its files are copied", filling.earlier.commit)
        return reused(filling.earlier)

    def work(self, context: StageContext, planned: Plan | None) -> Result:
        """Let the stage compute what is planned."""
        if planned is not None:
            logger.info("%d of %d files are work", len(planned.compute), planned.datums)
        if context.start.parent is not None:
            logger.info("%s begins with %s", self._commit, context.start.parent.commit)
        elif context.start.reason:
            logger.info("%s begins anew: %s", self._commit, context.start.reason)
        context = replace(context, plan=planned)
        return computed(context, self._stage.work(context))

    def publish(
        self, claim: Claim, derivation: Derivation, result: Result, started: float, present: Callable[[], Listing]
    ) -> dict[str, Expected]:
        """Make the open commit hold the result and its record; return the expected listing."""
        run = {"id": self._worker.run, "attempt": self._worker.name, "claim": str(claim.number)}
        execution = Execution(run, started, self._worker.now() - started, content(present()))
        record = result.record(self._stage, self._commit, derivation, execution)
        files = {**result.content, **result.report(self._stage, record)}
        return publish(self._client, self._commit, files, lambda: self._check(claim), present)

    def finish(self, claim: Claim, derivation: Derivation, result: Result) -> Commit:
        """Finish the commit, and promote it if the gate decided so."""
        gate = result.judgement.decision if result.judgement is not None else None
        keys = derivation.fingerprint.keys
        return finish(self._client, self._commit, claim, keys, gate=gate, now=self._worker.now())

    def _verify(self, listing: Listing, expected: Mapping[str, Expected]) -> None:
        """Quarantine the finished commit and open a fresh commit set if another writer changed it before its end."""
        wrong = differences(listing, expected)
        if wrong:
            quarantine(self._client, self._commit, f"changed by another writer at {', '.join(wrong[:5])}")
            fresh = open_fresh(self._client, pipeline_of(self._stage.output).source)
            logger.error(
                "%s was changed by another writer at %s; it is quarantined, and the fresh commit set %s replaces it",
                *(self._commit, wrong[:5], fresh),
            )

    @contextmanager
    def _context(self, derivation: Derivation, claim: Claim, start: Beginning) -> Iterator[StageContext]:
        """Provide the folders of the work; unfinished work is kept in Pachyderm if they do not outlive the attempt."""
        keep = self._keep(derivation)
        keep.mkdir(parents=True, exist_ok=True)
        unfinished: AbstractContextManager[Callable[[], None]] = nullcontext(lambda: None)
        fingerprint = derivation.fingerprint.value
        if self._stage.delegates:
            unfinished = forgotten(self._client, fingerprint, keep)
        elif not self._worker.keeps:
            unfinished = kept(self._client, fingerprint, keep, partial(self._check, claim))
        with unfinished as save, attempt_folder(self._worker.scratch, self._stage.name) as scratch:
            yield StageContext(
                client=self._client,
                commit=self._commit,
                inputs=derivation.inputs,
                parameters=derivation.resolved.values,
                plan=None,
                scratch=scratch,
                keep=keep,
                progress=self._progress,
                policy=derivation.resolved.policy,
                pinned=derivation.pinned,
                save=save,
                fingerprint=fingerprint,
                run=self._worker.run,
                check=partial(self._check, claim),
                waits=self._wait_for,
                pause=self._worker.pause,
                start=start,
            )

    def _settle(self, derivation: Derivation) -> Derivation:
        if derivation.resolved.budget is None:
            return derivation
        return settle(self._client, self._stage, self._commit, derivation, self._worker, self._progress)

    def _keep(self, derivation: Derivation) -> Path:
        return self._worker.scratch / "keep" / derivation.fingerprint.value

    def _progress(self, done: int, total: int, note: str) -> None:
        self._done, self._total = int(done), int(total)
        self._worker.progress(done, total, note)

    def _wait_for(self, text: str) -> None:
        self._waits = text

    def _inspect(self) -> Commit:
        return inspect(self._client, self._commit.repo, self._commit.id)

    def _check(self, claim: Claim, client: Connection | None = None) -> None:
        """Raise LostClaimError if the claim is no longer the live one; `client` is for use by another thread."""
        commit = inspect(client or self._client, self._commit.repo, self._commit.id)
        live = live_claim(commit.metadata)
        if live is None or live.number != claim.number:
            raise LostClaimError(f"the claim {claim.number} on {commit} has ended")

    def _wait_for_successor(self, latest: Commit, error: Exception) -> Commit:
        """Wait for the attempt that took the commit over, and return its commit."""
        logger.warning("another attempt took %s over; nothing of this attempt is kept (%s)", latest, error)
        return Attempt(self._client, self._stage, latest, self._worker, replaced=True).run()

    def _ended(self) -> Commit:
        """Return the commit once it has ended.

        Raises:
            CommitFailedError: it ended with an error.
        """
        commit = self._commit
        if not commit.ended:
            commit = inspect(self._client, commit.repo, commit.id, wait=True)
        if commit.error:
            raise CommitFailedError(str(commit), commit.error)
        return commit


def _taken_over(latest: Commit, claim: Claim) -> bool:
    """Whether another attempt has claimed the commit since; an error of this attempt then decides nothing."""
    return claims_of(latest.metadata)[-1].number > claim.number
