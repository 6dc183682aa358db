"""The pipeline image_to_image: all four stages for the newest commit of each input. The trigger never starts it."""

from kfp import dsl

from components.export.component import export
from components.generate.component import generate
from components.image import IMAGE
from components.resize.component import resize
from components.train.component import train
from pachyderm.shards.cut import AUTO
from workflows.fan_out import fan_out
from workflows.tasks import CONFIG, on_cluster, on_gpu


@dsl.pipeline(
    name="image_to_image",
    display_name="pix2pix: train, export, resize, generate",
    description="All four stages for the newest commits of training and input_images.",
    pipeline_config=CONFIG,
)
def image_to_image(
    hyperparameters: str = "",
    size: int = -1,
    max_steps: int = -1,
    learning_rate: float = -1,
    batch_size: int = -1,
    ngf: int = -1,
    l1_weight: float = -1,
    gan_mode: str = "",
    warm_start: str = "",
    seed: int = -1,
    image: str = IMAGE,
    gpus: str = "0",
    gpu_type: str = "nvidia.com/gpu",
    cpu: str = "4",
    memory: str = "16Gi",
    node_selector: dict[str, str] = {},  # noqa: B006 - the compiler reads the default, nothing changes it
    tolerations: list[dict[str, str]] = [],  # noqa: B006
    shards: str = AUTO,
    shard_cpu: str = "1",
    shard_memory: str = "2Gi",
) -> None:
    """Train, export, resize and generate.

    Args:
        hyperparameters: further ones for this run alone, as TOML, e.g. train.flip = false. These and those with a field
            of their own open fresh commit sets, and the model is promoted only by hand.
        size: height of the pictures that training sees (and width, unless the file sets one), e.g. 128. -1: from
            /pix2pix.toml.
        max_steps: training steps in total, e.g. 2000; 0 for no limit. -1: from /pix2pix.toml.
        learning_rate: Adam's step, e.g. 0.0002. -1: from /pix2pix.toml.
        batch_size: pairs per step, e.g. 4. -1: from /pix2pix.toml.
        ngf: filters of the generator's first layer, e.g. 32. -1: from /pix2pix.toml.
        l1_weight: weight of the L1 loss, e.g. 100; 0 leaves it out. -1: from /pix2pix.toml.
        gan_mode: vanilla, lsgan or hinge. Empty: from /pix2pix.toml.
        warm_start: never, auto or always: begin with the model of the nearest earlier commit. Empty: from
            /pix2pix.toml.
        seed: for weights, order, crops, flips and dropout, e.g. 7. -1: from /pix2pix.toml.
        image: whole reference of the image that all tasks run in.
        gpus: GPUs for training: 0 for none, or their number, e.g. 1. A run waits until a node has as many.
        gpu_type: resource name of the GPU, such as nvidia.com/gpu.
        cpu: processors that training asks for, such as 4.
        memory: memory that training asks for and is limited to, such as 16Gi.
        node_selector: labels of the nodes that may train, as JSON, e.g. {"gpu": "a100"}.
        tolerations: of training's pod, as JSON, e.g. [{"key": "nvidia.com/gpu", "operator": "Exists"}].
        shards: how many tasks share the work of resize, and of generate: "auto" for one per 2,000 files or GiB, or a
            number as text.
        shard_cpu: processors that each shard asks for, such as 2.
        shard_memory: memory that each shard asks for, such as 4Gi.
    """
    trained = on_cluster(
        train(
            commit_set="",
            hyperparameters=hyperparameters,
            run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            size=size,
            max_steps=max_steps,
            learning_rate=learning_rate,
            batch_size=batch_size,
            ngf=ngf,
            l1_weight=l1_weight,
            gan_mode=gan_mode,
            warm_start=warm_start,
            seed=seed,
        ),
        image,
    ).set_display_name("Train")
    on_gpu(trained, gpus, gpu_type, cpu, memory, node_selector, tolerations)
    exported = on_cluster(
        export(commit_set=trained.outputs["commit_set"], run=dsl.PIPELINE_JOB_ID_PLACEHOLDER), image
    ).set_display_name("Export")
    run = dsl.PIPELINE_JOB_ID_PLACEHOLDER
    resized = on_cluster(resize(commit_set="", hyperparameters=hyperparameters, shards=shards, run=run), image)
    resized_shards = fan_out("resize", resized.set_display_name("Resize"), image, shard_cpu, shard_memory)
    generated = on_cluster(generate(commit_set=resized.outputs["commit_set"], shards=shards, run=run), image)
    generated.set_display_name("Generate").after(exported, resized_shards)
    fan_out("generate", generated, image, shard_cpu, shard_memory)
