"""The settlement of parameters that are left to a time budget: chosen once for equal requests, then kept.

A request is what was set, with the same data, code and library versions; the speed of a machine is not part of it. What
was chosen is metadata of the output commit that it was chosen for, under the request's fingerprint: later attempts and
later commits with an equal request take it over, and so find the finished commit or the unfinished work.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from pachyderm.attempt_folder import attempt_folder
from pachyderm.client.commits import Commit, all_commits, inspect
from pachyderm.client.connection import Connection
from pachyderm.errors import PermanentError
from pachyderm.output.derivation import Derivation
from pachyderm.output.reuse import LOOK_BACK
from pachyderm.output.stage import Stage, StageContext
from pachyderm.output.worker import Worker
from pachyderm.queue.claims import added
from pachyderm.record.fingerprints import CHOSEN, choice_of

logger = logging.getLogger(__name__)


def settled(client: Connection, commit: Commit, derivation: Derivation) -> Derivation:
    """Return the derivation with what was chosen for an equal request; unchanged if nothing was, or nothing is open.

    Args:
        client: the connection.
        commit: the output commit; it need not exist yet.
        derivation: of the output commit.
    """
    budget = derivation.resolved.budget
    if budget is None:
        return derivation
    for earlier in (commit, *all_commits(client, commit.repo, number=LOOK_BACK)):
        chosen = choice_of(earlier.metadata, derivation.fingerprint.value)
        if chosen is None:
            continue
        try:
            return derivation.with_resolved(budget.settle(chosen))
        except PermanentError as error:
            logger.warning("the choice in the metadata of %s cannot be used: %s", earlier, error)
    return derivation


def settle(
    client: Connection,
    stage: Stage,
    commit: Commit,
    derivation: Derivation,
    worker: Worker,
    progress: Callable[[int, int, str], None],
) -> Derivation:
    """Return the derivation with everything settled: as chosen before, or else now, by the stage.

    Args:
        client: the connection.
        stage: the stage that fills the commit.
        commit: the output commit, claimed by the caller.
        derivation: of the output commit.
        worker: who fills it.
        progress: of the work; see `StageContext.progress`.

    Raises:
        PermanentError: the budget is too small.
    """
    known = settled(client, inspect(client, commit.repo, commit.id), derivation)
    budget = known.resolved.budget
    if budget is None or stage.choose is None or stage.awaited(derivation.inputs) is not None:
        return known
    with attempt_folder(worker.scratch, stage.name) as scratch:
        context = StageContext(
            client=client,
            commit=commit,
            inputs=derivation.inputs,
            parameters=budget.given,
            plan=None,
            scratch=scratch,
            keep=scratch,
            progress=progress,
        )
        chosen = stage.choose(context)
    keys = {CHOSEN + derivation.fingerprint.value: json.dumps(chosen)}
    settlement = derivation.with_resolved(budget.settle(chosen))
    if added(client, commit, keys):
        return settlement
    # Another attempt was faster, which has lost its claim or taken this one: what it chose counts for all.
    faster = settled(client, inspect(client, commit.repo, commit.id), derivation)
    if faster.resolved.budget is None:
        return faster
    client.edit_keys(commit.repo, commit.id, put=keys)  # what is there cannot be used
    return settlement
