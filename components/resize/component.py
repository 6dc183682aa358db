"""The Kubeflow component resize.

The stage is in a module of its own: a running task cannot import one that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def resize(
    commit_set: str, hyperparameters: str, shards: str, run: str, report: Output[HTML], metrics: Output[Metrics]
) -> NamedTuple("Filled", [("commit", str), ("commit_set", str), ("Output", list[str])]):  # type: ignore[valid-type]
    """Resize the new pictures of a commit of `input_images` to the model's size, into `preprocess_images`.

    Args:
        commit_set: id of the commit set; empty fills all open commits; "new" makes a fresh commit set.
        hyperparameters: for a fresh commit set only, as TOML, e.g. resize.size = 128.
        shards: number of tasks that share the work; "auto" for as many as it asks for. 1 does it all here.
        run: id of the run, set by Kubeflow.
        report: the resized pictures, and the rejected files.
        metrics: none.
    """
    from components.resize.stage import STAGE
    from components.task import perform_or_hand_out

    return perform_or_hand_out(STAGE, commit_set, hyperparameters, shards, run, report.path, metrics)
