"""The Kubeflow component export.

It exists apart from the stage because a running task cannot import a module that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def export(commit_set: str, run: str, report: Output[HTML], metrics: Output[Metrics]) -> NamedTuple(  # type: ignore[valid-type]
    "Filled", [("commit", str), ("commit_set", str)]
):
    """Export the checkpoint of a commit set as a SavedModel into `model@candidate`, and promote it where that is asked.

    Args:
        commit_set: id of the commit set; empty for all that is open.
        run: id of the run, put in by Kubeflow.
        report: what was exported.
        metrics: those of the training.
    """
    from components.export.stage import STAGE
    from components.task import perform

    return perform(STAGE, commit_set, "", run, report.path, metrics)
