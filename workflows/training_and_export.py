"""The pipeline training_and_export: train on pairs, export the model and, if the gate allows it, promote it."""

from kfp import dsl

from components.export.component import export
from components.image import IMAGE
from components.train.component import train
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
    image: str = IMAGE,
    gpus: str = "1",
    gpu_type: str = "nvidia.com/gpu",
    cpu: str = "4",
    memory: str = "16Gi",
    node_selector: dict[str, str] = {},  # noqa: B006 - the compiler reads the default, nothing changes it
    tolerations: list[dict[str, str]] = [],  # noqa: B006
) -> None:
    """Train and export.

    Args:
        commit_set: id of the Pachyderm commit set to fill. Empty: all that is open, or the newest. "new": a fresh one.
        hyperparameters: for this run alone, as TOML, e.g. train.max_steps = 100. They open a fresh commit set, whose
            model is promoted only by hand.
        image: whole reference of the image that both tasks run in.
        gpus: number of GPUs for training, as text; "0" for none (the kfp command wants it quoted twice: gpus='"1"').
        gpu_type: resource name of the GPU, such as nvidia.com/gpu.
        cpu: processors that training asks for, such as 4.
        memory: memory that training asks for and is limited to, such as 16Gi.
        node_selector: labels of the nodes that may train, as JSON, e.g. {"gpu": "a100"}.
        tolerations: of training's pod, as JSON, e.g. [{"key": "nvidia.com/gpu", "operator": "Exists"}].
    """
    trained = on_cluster(
        train(commit_set=commit_set, hyperparameters=hyperparameters, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER), image
    ).set_display_name("Train")
    on_gpu(trained, gpus, gpu_type, cpu, memory, node_selector, tolerations)
    on_cluster(
        export(commit_set=trained.outputs["commit_set"], run=dsl.PIPELINE_JOB_ID_PLACEHOLDER), image
    ).set_display_name("Export")
