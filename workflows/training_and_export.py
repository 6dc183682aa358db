"""The pipeline training_and_export: train on pairs, export the model and, if the gate allows it, promote it."""

from kfp import dsl

from components.export.component import export
from components.image import IMAGE
from components.train.component import train
from components.train.trainjob.nodes import RUNTIME
from workflows.tasks import CONFIG, on_cluster, on_gpu


@dsl.pipeline(
    name="training_and_export",
    display_name="pix2pix: train and export",
    description="Train on the A|B pairs of Pachyderm's repo training, export a SavedModel, promote it if it is better.",
    pipeline_config=CONFIG,
)
def training_and_export(
    commit_set: str = "",
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
    nodes: int = 1,
    runtime: str = RUNTIME,
    node_resources: dict[str, dict[str, str]] = {},  # noqa: B006
) -> None:
    """Train and export.

    Args:
        commit_set: id of the Pachyderm commit set to fill. Empty: all that is open, or the newest. "new": a fresh one.
        hyperparameters: further ones for this run alone, as TOML, e.g. train.flip = false. These and those with a field
            of their own open a fresh commit set, whose model is promoted only by hand.
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
        image: whole reference of the image that both tasks run in.
        gpus: GPUs for training: 0 for none, or their number, e.g. 1. A run waits until a node has as many.
        gpu_type: resource name of the GPU, such as nvidia.com/gpu.
        cpu: processors that training asks for, such as 4.
        memory: memory that training asks for and is limited to, such as 16Gi.
        node_selector: labels of the nodes that may train, as JSON, e.g. {"gpu": "a100"}.
        tolerations: of training's pod, as JSON, e.g. [{"key": "nvidia.com/gpu", "operator": "Exists"}].
        nodes: number of nodes that train. More than one need Kubeflow Trainer: training's own pod then only creates a
            TrainJob and follows it, so give it no GPU (gpus "0") and little memory.
        runtime: of the nodes: name of a TrainingRuntime of the namespace, or ClusterTrainingRuntime/NAME.
        node_resources: of each node, as JSON, e.g. {"limits": {"nvidia.com/gpu": "1"}}; empty: those of the runtime.
    """
    trained = on_cluster(
        train(
            commit_set=commit_set,
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
            nodes=nodes,
            runtime=runtime,
            node_resources=node_resources,
            image=image,
        ),
        image,
    ).set_display_name("Train")
    on_gpu(trained, gpus, gpu_type, cpu, memory, node_selector, tolerations)
    on_cluster(
        export(commit_set=trained.outputs["commit_set"], run=dsl.PIPELINE_JOB_ID_PLACEHOLDER), image
    ).set_display_name("Export")
