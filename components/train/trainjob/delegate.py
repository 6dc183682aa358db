"""The train stage on several nodes: one TrainJob for each run, followed to its end and deleted.

The task holds the claim; the nodes keep their state and their result in Pachyderm's unfinished work, under the output
commit's fingerprint. The number of nodes is not part of that fingerprint: it changes a result by rounding only.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from components.train.trainjob import outcome
from components.train.trainjob.cluster import TrainJobApi, connect
from components.train.trainjob.follow import Follower
from components.train.trainjob.manifest import Assignment, trainjob
from components.train.trainjob.nodes import Nodes, problem_of
from pachyderm.errors import LostClaimError, PermanentError
from pachyderm.output.stage import Stage, StageContext, StageOutput
from pachyderm.output.work_in_progress import UnfinishedWork

logger = logging.getLogger(__name__)


def delegated(
    stage: Stage, nodes: Nodes, environment: Mapping[str, str], api: Callable[[], TrainJobApi] = connect
) -> Stage:
    """Return the stage with its work done by several nodes; the stage itself for one node.

    Args:
        stage: the train stage.
        nodes: their number, runtime, image and resources.
        environment: of the task; ``PIX2PIX_QUEUE`` is Kueue's LocalQueue of the TrainJob.
        api: connects to the cluster.
    """
    if nodes.count == 1:
        return stage

    def work(job: StageContext) -> StageOutput:
        _require(job, nodes, environment)
        return _train(job, nodes, environment.get("PIX2PIX_QUEUE", ""), api())

    return replace(stage, work=work, delegates=True, choose=_refuse_budget)


def _refuse_budget(job: StageContext) -> Mapping[str, Any]:
    """Refuse a time budget: this task would measure its own machine, not the nodes."""
    raise PermanentError(
        f"minutes cannot be kept for {job.commit} with nodes > 1, whose speed is unknown; set nodes to 1, or"
        " minutes to 0 and max_steps to a number of steps"
    )


def _require(job: StageContext, nodes: Nodes, environment: Mapping[str, str]) -> None:
    problem = problem_of(nodes)
    if problem is None and job.parameters.batch_size % nodes.count:
        problem = (
            f"batch_size = {job.parameters.batch_size} cannot be shared by {nodes.count} nodes; allowed:"
            f" {nodes.count}, {2 * nodes.count}, {3 * nodes.count} and so on"
        )
    if problem is None and "PACHD_ADDRESS" not in environment:
        problem = "nodes > 1 needs a Pachyderm that the nodes can reach; set PACHD_ADDRESS, or nodes to 1"
    if problem is not None:
        raise PermanentError(problem)


def _train(job: StageContext, nodes: Nodes, queue: str, api: TrainJobApi) -> StageOutput:
    with closing(job.client.another()) as second:
        unfinished = UnfinishedWork(second, job.fingerprint, job.keep)
        assignment = Assignment(
            job.commit.id, job.fingerprint, job.run, "", job.start.parent.commit.id if job.start.parent else ""
        )
        follower = Follower(api, job, assignment.name, nodes.count, queue)
        follower.remove_others()
        try:
            if not follower.adopt():
                # Not before: a TrainJob that was deleted may save until its pods have ended.
                follower.create(trainjob(replace(assignment, state=unfinished.version()), nodes, queue))
            follower.follow()
            shutil.rmtree(job.keep)
            job.keep.mkdir()
            unfinished.fetch()
            output = outcome.read(job.keep)
        except LostClaimError:
            raise  # the attempt that took over has adopted or deleted the TrainJob
        except BaseException:
            follower.remove()
            raise
        follower.remove()
    return replace(output, notes=(*output.notes, f"Trained on {nodes.count} nodes."))
