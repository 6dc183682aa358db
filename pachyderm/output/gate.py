"""The gate: a model is judged against the model in use before its commit ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

from pachyderm.client.commits import head
from pachyderm.client.connection import Connection
from pachyderm.client.file_contents import Expected
from pachyderm.dag.repos import MODEL
from pachyderm.output.result import Result
from pachyderm.output.stage import Stage, StageContext

logger = logging.getLogger(__name__)

JUDGEMENTS = 3
"""How often a model is judged while the model in use is replaced meanwhile; the last decision stands."""


def publish_judged(
    client: Connection,
    stage: Stage,
    context: StageContext,
    result: Result,
    publish: Callable[[Result], Mapping[str, Expected]],
    now: Callable[[], float],
) -> tuple[Result, Mapping[str, Expected]]:
    """Judge a result if it is a model, and publish it with the decision; a reused model is judged anew.

    Args:
        client: the connection.
        stage: the stage that made the result.
        context: the stage's work.
        result: computed, reused or empty.
        publish: publishes a result and returns the expected listing.
        now: returns seconds since 1970.

    Returns:
        the result with its judgement, and the expected listing.
    """
    if stage.judge is None or result.outcome == "empty":
        return result, publish(result)
    for judgements_left in reversed(range(JUDGEMENTS)):
        in_use = head(client, MODEL)
        judgement = stage.judge(context, in_use, result.content)
        decision = replace(judgement.decision, time=now())
        logger.info("%s is %s", context.commit, decision)
        judged = replace(result, judgement=replace(judgement, decision=decision))
        expected = publish(judged)
        if not judgements_left or head(client, MODEL).id == in_use.id:
            break
        logger.info("%s was replaced meanwhile; %s is judged again", in_use, context.commit)
    return judged, expected
