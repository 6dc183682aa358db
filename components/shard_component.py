"""The Kubeflow component shard, for every stage that works datum by datum.

The stages are in modules of their own: a running task cannot import one that defines components (kfp 2.17).
"""

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def shard(stage: str, ticket: str, run: str, report: Output[HTML], metrics: Output[Metrics]) -> str:
    """Compute one shard of an output commit; the last shard to be complete publishes the commit.

    Args:
        stage: name of the stage.
        ticket: of the shard, from the task that planned it.
        run: id of the run, set by Kubeflow.
        report: the pictures, if this shard published.
        metrics: none.
    """
    from components.registry import stage as stage_named
    from components.task import perform_shard

    return perform_shard(stage_named(stage), ticket, run, report.path, metrics)
