"""The Kubeflow component train.

The stage is in a module of its own: a running task cannot import one that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def train(
    commit_set: str, hyperparameters: str, run: str, report: Output[HTML], metrics: Output[Metrics]
) -> NamedTuple("Filled", [("commit", str), ("commit_set", str)]):  # type: ignore[valid-type]
    """Train pix2pix on the A|B pairs of a commit of `training`, into `checkpoint`.

    Args:
        commit_set: id of the commit set; empty fills all open commits; "new" makes a fresh commit set.
        hyperparameters: for a fresh commit set only, as TOML, e.g. train.max_steps = 100.
        run: id of the run, set by Kubeflow.
        report: loss curves and sample pictures.
        metrics: losses, and L1, PSNR and SSIM on held-out pairs.
    """
    from components.task import perform
    from components.train.stage import STAGE

    return perform(STAGE, commit_set, hyperparameters, run, report.path, metrics)
