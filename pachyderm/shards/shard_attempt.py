"""One attempt at a shard: compute its datums, keep the result, and publish the output commit if it was the last one.

A shard works under the claim of the task that planned it. The shard that finds all results kept takes that claim over
and publishes; the others end. Whoever sees a result sees all of it, and the last shard to keep its result sees those of
all others, so at least one publishes; one request takes the claim over, so at most one does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pachyderm.attempt_folder import attempt_folder
from pachyderm.client.commits import Commit, inspect
from pachyderm.client.connection import Connection
from pachyderm.client.files import FileEntry, content, files
from pachyderm.errors import CommitFailedError, PermanentError, RequestError
from pachyderm.output.attempt import Attempt
from pachyderm.output.derivation import derive_from
from pachyderm.output.plan import Plan
from pachyderm.output.result import computed_files, located
from pachyderm.output.stage import Input, Stage, StageContext
from pachyderm.output.worker import Worker
from pachyderm.queue.claims import (
    REPORTED,
    Claim,
    end_of,
    fault_key,
    heartbeats,
    live_claim,
    progress_keys,
    take,
)
from pachyderm.queue.ends import finish_with
from pachyderm.shards import branches, kept_results, shard_plan
from pachyderm.shards.division import Division
from pachyderm.shards.kept_results import ShardResult
from pachyderm.shards.shard_plan import Shard

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardOutcome:
    """What became of a shard.

    Attributes:
        commit: the output commit.
        text: a sentence about the shard, for people.
        published: whether this shard published and finished the commit.
    """

    commit: Commit
    text: str
    published: bool = False


def fill_shard(client: Connection, stage: Stage, ticket: str, worker: Worker) -> ShardOutcome:
    """Compute a shard, and publish the output commit if all others are complete; running this twice is harmless.

    Args:
        client: the connection.
        stage: the stage whose output commit it is.
        ticket: see `pachyderm.shards.shard_plan.store`.
        worker: who computes.

    Raises:
        CommitFailedError: the output commit ended with an error.
        RequestError: the shard has no plan.
    """
    shard = shard_plan.load(client, ticket)
    return _ShardAttempt(client, stage, shard, worker).run()


class _ShardAttempt:
    def __init__(self, client: Connection, stage: Stage, shard: Shard, worker: Worker) -> None:
        self._client, self._stage, self._shard = client, stage, shard
        # The name shows which shard publishes: its own next attempt may take over from it at once.
        self._own = f"-shard-{shard.number}"
        self._worker = replace(worker, name=worker.name + self._own, progress=self._progress)
        self._report, self._done = worker.progress, 0

    def run(self) -> ShardOutcome:
        """Compute the shard unless its result is kept, and publish if it is the last one."""
        shard, commit = self._shard, self._inspect()
        if commit.error:
            raise CommitFailedError(str(commit), commit.error)
        claim = self._working_under(commit)
        if claim is None:
            return ShardOutcome(commit, f"{shard}: nothing to do, since another attempt has taken {commit} over")
        if branches.newest(self._client, shard.branch) is None:
            self._compute(commit, claim)
        else:
            logger.info("%s was computed by an earlier attempt", shard)
        keys = progress_keys(shard.claim, len(shard.datums), len(shard.datums), shard.number)
        if claim.fault.startswith(f"{REPORTED}{shard}: "):
            # An earlier attempt of this shard's task failed, and this one made up for it.
            keys[fault_key(claim.number)] = ""
        self._client.edit_keys(commit.repo, commit.id, put=keys)
        commit = self._inspect()
        complete: dict[str, str] = {}
        for number, size in enumerate(shard.sizes, start=1):
            complete |= progress_keys(shard.claim, size, size, number)
        missing = sum(commit.metadata.get(key) != value for key, value in complete.items())
        if missing:
            return ShardOutcome(commit, f"{shard}: computed; {missing} others are not complete yet")
        return self._publish(commit)

    def _working_under(self, commit: Commit) -> Claim | None:
        """Return the claim that this shard works under; None if it has ended."""
        claim = live_claim(commit.metadata) if commit.state == "open" else None
        if claim is None or (claim.number != self._shard.claim and not claim.attempt.endswith(self._own)):
            return None
        return claim

    def _compute(self, commit: Commit, claim: Claim) -> None:
        """Compute the datums and keep the result.

        Raises:
            CommitFailedError: a datum cannot be computed by any attempt; the output commit has ended with that error.
        """
        size = len(self._shard.datums)
        beating = heartbeats(self._client, commit, claim, lambda: (self._done, size), self._shard.number)
        try:
            with beating, attempt_folder(self._worker.scratch, self._stage.name) as scratch:
                context = self._context(commit, {"scratch": scratch, "keep": scratch / "keep"})
                output = self._stage.work(context)
                datums, plan = context.inputs[self._datums], context.plan or Plan({}, {}, ())
                result = ShardResult(
                    computed_files(output.files, plan, datums.files, commit.id),
                    located(output.rejected, datums.files),
                    output.warnings,
                )
                kept_results.keep(self._client, self._shard.branch, result, output.files)
        except PermanentError as error:
            if self._working_under(self._inspect()) is not None:
                finish_with(self._client, commit, f"failed: {self._shard}: {error}")
            raise CommitFailedError(str(commit), f"{self._shard}: {error}") from error
        except Exception as error:
            # The claim stays: the other shards work under it, and so does the next attempt of this shard's task.
            end = end_of(error)
            if end.startswith(REPORTED):
                text = f"{REPORTED}{self._shard}: {end.removeprefix(REPORTED)}"[:500]
                self._client.edit_keys(commit.repo, commit.id, put={fault_key(claim.number): text})
            raise

    def _context(self, commit: Commit, folders: Mapping[str, object]) -> StageContext:
        """Return the work of this shard as its stage sees it."""
        shard, client = self._shard, self._client
        inputs = {}
        for key in commit.provenance:
            source = inspect(client, key.repo, key.id)
            if key.repo == self._datums:
                listing = {datum.path: FileEntry(datum.bytes, datum.hash) for datum in shard.datums}
            else:
                listing = content(files(client, key.repo, source.id))
            inputs[key.repo] = Input(source, listing, shard.parts[f"inputs.{key.repo}"])
        derivation = derive_from(client, self._stage, commit, inputs)
        changed = derivation.fingerprint.differs_from(shard.parts)
        if changed:
            raise RequestError(f"{shard} was planned with another {', '.join(changed)}; run the pipeline again")
        plan = Plan({datum.path: datum.output for datum in shard.datums}, {}, ())
        return StageContext(
            client=client,
            commit=commit,
            inputs=inputs,
            parameters=derivation.resolved.values,
            plan=plan,
            progress=self._progress,
            **folders,  # type: ignore[arg-type]
        )

    def _publish(self, commit: Commit) -> ShardOutcome:
        """Take the claim over and publish, unless another shard does."""
        shard, worker = self._shard, self._worker
        division = Division(self._stage.name, self._datums, 1, now=worker.now)
        attempt = Attempt(self._client, self._stage, commit, worker, fan_out=division)
        if self._working_under(commit) is not None and attempt.find():
            # By the metadata that was read before: whoever was faster has added the same key.
            over = f"handed over: all {len(shard.sizes)} shards are complete"
            claim = take(self._client, commit, worker.run, worker.name, over=over)
            if claim is not None:
                return ShardOutcome(attempt.run_claimed(claim), f"{shard}: published {commit}", published=True)
        return ShardOutcome(self._inspect(), f"{shard}: computed; another shard publishes {commit}")

    @property
    def _datums(self) -> str:
        if self._stage.datums is None:
            raise RequestError(f"the stage {self._stage.name} has no datums to cut into shards")
        return self._stage.datums

    def _inspect(self) -> Commit:
        return inspect(self._client, self._stage.output.repo, self._shard.commit)

    def _progress(self, done: int, total: int, note: str) -> None:
        # The whole number shows that the result is kept.
        self._done = min(int(done), len(self._shard.datums) - 1)
        self._report(done, total, note)
