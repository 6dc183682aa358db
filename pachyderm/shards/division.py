"""Division of the work on an output commit: what shards have computed is taken, what is left is handed out or done."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from pachyderm.client.connection import Connection
from pachyderm.output.plan import Plan
from pachyderm.output.stage import StageContext
from pachyderm.queue.claims import progress_keys
from pachyderm.record.fingerprints import Fingerprint
from pachyderm.shards import branches, kept_results, shard_plan
from pachyderm.shards.cut import cut
from pachyderm.shards.shard_plan import ShardDatum

logger = logging.getLogger(__name__)


class Division:
    """The division of one output commit's work; a `pachyderm.output.stage.FanOut`.

    Args:
        name: name of the stage.
        datums: the input repo whose files are datums.
        shards: number of shards; None for as many as the work asks for, 1 to compute everything that is left here.
        batch: see `pachyderm.output.stage.Stage.batch`.
        now: returns seconds since 1970.

    Attributes:
        tickets: one for each shard that work was handed out to; empty if it was not.
    """

    def __init__(
        self,
        name: str,
        datums: str,
        shards: int | None,
        batch: Callable[[object], int] = lambda parameters: 1,  # noqa: ARG005
        now: Callable[[], float] = time.time,
    ) -> None:
        self._name, self._datums, self._shards, self._batch, self._now = name, datums, shards, batch, now
        self._forgettable: tuple[str, ...] = ()
        self.tickets: tuple[str, ...] = ()

    def divide(self, context: StageContext, fingerprint: Fingerprint, claim: int) -> Plan | None:
        """Add what shards have computed to the plan, or hand the rest out to shards; see `FanOut.divide`."""
        if context.plan is None or not context.plan.compute:
            return context.plan
        client, commit, inputs = context.client, context.commit, context.inputs[self._datums].files
        recipe = shard_plan.recipe(fingerprint, self._datums)
        results = branches.names(client, kept_results.recipe_prefix(recipe))
        # Exactly these are deleted later: by then, shards of the next commit may have kept results of the same recipe.
        self._forgettable = (*results, shard_plan.plan_prefix(commit))
        planned = kept_results.with_kept(client, context.plan, inputs, results, commit.id)
        kept = len(context.plan.compute) - len(planned.compute)
        if kept:
            logger.info("%d of %d files were computed by shards", kept, len(context.plan.compute))
        datums = [
            ShardDatum(path, planned.compute[path], inputs[path].hash, inputs[path].bytes)
            for path in sorted(planned.compute)
        ]
        parts = cut([datum.bytes for datum in datums], self._shards, self._batch(context.parameters))
        if datums and self._shards is not None and len(parts) < self._shards:
            logger.warning(
                "shards = %d is more than %d files can be cut into; there are %d", self._shards, len(datums), len(parts)
            )
        if len(parts) <= 1:
            folder = context.scratch / "samples"
            return replace(planned, samples=kept_results.samples(client, planned, folder)) if kept else planned
        groups = [tuple(datums[part.start : part.stop]) for part in parts]
        shards = {kept_results.branch_of(recipe, group): group for group in groups}
        self.tickets = shard_plan.store(client, self._name, commit, claim, fingerprint.parts, shards)
        client.edit_keys(commit.repo, commit.id, put=progress_keys(claim, kept, len(context.plan.compute)))
        logger.info("%d files are handed out to %d shards", len(datums), len(parts))
        return None

    def forget(self, client: Connection) -> None:
        """Delete the plans and results of the finished output commit."""
        if self._forgettable:
            branches.delete(client, self._forgettable, (shard_plan.PREFIX, kept_results.PREFIX), self._now())
