"""Fan-out of a stage: one task for each shard that its planning task hands out."""

from kfp import dsl
from kfp.dsl import PipelineTask

from components.image import IMAGE
from components.shard_component import shard
from workflows.tasks import on_cluster


# Resources that are parameters need a pipeline of their own inside a loop: kfp 2.17 does not pass them into the loop,
# and the driver fails.
@dsl.pipeline(name="one_shard")
def one_shard(stage: str, ticket: str, image: str = IMAGE, cpu: str = "1", memory: str = "2Gi") -> None:
    """Compute one shard.

    Args:
        stage: name of the stage.
        ticket: of the shard.
        image: whole reference of the image that the task runs in.
        cpu: processors that the task asks for.
        memory: memory that the task asks for.
    """
    task = on_cluster(shard(stage=stage, ticket=ticket, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER), image)
    task.set_cpu_request(cpu).set_memory_request(memory)
    task.set_display_name("Shard")


def fan_out(stage: str, planned: PipelineTask, image: str, cpu: str, memory: str) -> PipelineTask:
    """Add the loop over the shards of a stage; it is empty if the planning task did the work itself.

    Args:
        stage: name of the stage.
        planned: the task that plans. Its tickets are in ``Output``: `kfp.local` 2.17 iterates over no other name.
        image: whole image reference, or the pipeline parameter that holds one.
        cpu: processors that each shard asks for.
        memory: memory that each shard asks for.

    Returns:
        what the tasks that need the whole output come after.
    """
    with dsl.ParallelFor(planned.outputs["Output"], name=f"{stage}-shards") as ticket:
        shards: PipelineTask = one_shard(stage=stage, ticket=ticket, image=image, cpu=cpu, memory=memory)
    return shards
