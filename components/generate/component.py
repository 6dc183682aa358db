"""The Kubeflow component generate.

The stage is in a module of its own: a running task cannot import one that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def generate(commit_set: str, shards: str, run: str, report: Output[HTML], metrics: Output[Metrics]) -> NamedTuple(  # type: ignore[valid-type]
    "Filled", [("commit", str), ("commit_set", str), ("Output", list[str])]
):
    """Translate the preprocessed pictures of a commit set with the model in use, into `generate_images`.

    Args:
        commit_set: id of the commit set; empty fills all open commits.
        shards: number of tasks that share the work; "auto" for as many as it asks for. 1 does it all here.
        run: id of the run, set by Kubeflow.
        report: the generated pictures.
        metrics: none.
    """
    from components.generate.stage import STAGE
    from components.task import perform_or_hand_out

    return perform_or_hand_out(STAGE, commit_set, "", shards, run, report.path, metrics)
