"""The pipeline preprocessing_and_generation: prepare input images and translate them with the promoted model."""

from kfp import dsl

from components.generate.component import generate
from components.image import IMAGE
from components.resize.component import resize
from pachyderm.shards.cut import AUTO
from workflows.fan_out import fan_out
from workflows.tasks import CONFIG, on_cluster


@dsl.pipeline(
    name="preprocessing_and_generation",
    display_name="pix2pix: resize and generate",
    description="Prepare the pictures of Pachyderm's repo input_images and translate them with the promoted model.",
    pipeline_config=CONFIG,
)
def preprocessing_and_generation(
    commit_set: str = "",
    hyperparameters: str = "",
    shards: str = AUTO,
    image: str = IMAGE,
    shard_cpu: str = "1",
    shard_memory: str = "2Gi",
) -> None:
    """Resize and generate.

    Args:
        commit_set: id of the Pachyderm commit set to fill. Empty: all that is open, or the newest. "new": a fresh one.
        hyperparameters: for this run alone, as TOML, e.g. resize.size = 128. They open a fresh commit set.
        shards: how many tasks share the work of a stage: "auto" for one per 2,000 files or GiB, or a number as text.
        image: whole reference of the image that all tasks run in.
        shard_cpu: processors that each shard asks for, such as 2.
        shard_memory: memory that each shard asks for, such as 4Gi.
    """
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    resized = on_cluster(resize(commit_set=commit_set, hyperparameters=hyperparameters, shards=shards, run=run), image)
    resized.set_display_name("Resize")
    resized_shards = fan_out("resize", resized, image, shard_cpu, shard_memory)
    generated = on_cluster(generate(commit_set=resized.outputs["commit_set"], shards=shards, run=run), image)
    generated.set_display_name("Generate").after(resized_shards)
    fan_out("generate", generated, image, shard_cpu, shard_memory)
