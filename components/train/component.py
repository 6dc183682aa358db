"""The Kubeflow component train.

The stage is in a module of its own: a running task cannot import one that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    commit_set: str,
    hyperparameters: str,
    run: str,
    report: Output[HTML],
    metrics: Output[Metrics],
    size: int = -1,
    max_steps: int = -1,
    learning_rate: float = -1,
    batch_size: int = -1,
    ngf: int = -1,
    l1_weight: float = -1,
    gan_mode: str = "",
    warm_start: str = "",
    seed: int = -1,
    nodes: int = 1,
    runtime: str = "",
    node_resources: dict[str, dict[str, str]] = {},  # noqa: B006 - the compiler reads the default, nothing changes it
    image: str = "",
) -> NamedTuple("Filled", [("commit", str), ("commit_set", str)]):  # type: ignore[valid-type]
    """Train pix2pix on the A|B pairs of a commit of `training`, into `checkpoint`.

    Args:
        commit_set: id of the commit set; empty fills all open commits; "new" makes a fresh commit set.
        hyperparameters: for a fresh commit set only, as TOML, e.g. train.max_steps = 100.
        run: id of the run, set by Kubeflow.
        report: loss curves and sample pictures.
        metrics: losses, and L1, PSNR and SSIM on held-out pairs.
        size: height of the pictures that training sees, pixels; -1 takes it from /pix2pix.toml.
        max_steps: training steps in total; 0 for no limit, -1 takes it from /pix2pix.toml.
        learning_rate: Adam's step; -1 takes it from /pix2pix.toml.
        batch_size: pairs per step; -1 takes it from /pix2pix.toml.
        ngf: filters of the generator's first layer; -1 takes it from /pix2pix.toml.
        l1_weight: weight of the L1 loss; 0 leaves it out, -1 takes it from /pix2pix.toml.
        gan_mode: vanilla, lsgan or hinge; empty takes it from /pix2pix.toml.
        warm_start: never, auto or always begin with the model of the nearest earlier commit; empty takes it from
            /pix2pix.toml.
        seed: for weights, order, crops, flips and dropout; -1 takes it from /pix2pix.toml.
        nodes: number of nodes; more than one makes a TrainJob, which this task follows.
        runtime: of the TrainJob: name of a TrainingRuntime, or ClusterTrainingRuntime/NAME.
        node_resources: of each node of the TrainJob; empty: those of the runtime.
        image: of the nodes of the TrainJob.
    """
    import os

    from components.task import perform
    from components.train.stage import STAGE
    from components.train.trainjob.delegate import delegated
    from components.train.trainjob.nodes import Nodes

    return perform(
        delegated(STAGE, Nodes(nodes, runtime, image, node_resources), os.environ),
        commit_set,
        hyperparameters,
        run,
        report.path,
        metrics,
        size=size,
        max_steps=max_steps,
        learning_rate=learning_rate,
        batch_size=batch_size,
        ngf=ngf,
        l1_weight=l1_weight,
        gan_mode=gan_mode,
        warm_start=warm_start,
        seed=seed,
    )
