"""The Kubeflow component export.

The stage is in a module of its own: a running task cannot import one that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def export(commit_set: str, run: str, report: Output[HTML], metrics: Output[Metrics]) -> NamedTuple(  # type: ignore[valid-type]
    "Filled", [("commit", str), ("commit_set", str)]
):
    """Export a checkpoint as a SavedModel into `model@candidate`; promote it if the gate allows it.

    Args:
        commit_set: id of the commit set; empty fills all open commits.
        run: id of the run, set by Kubeflow.
        report: the exported files, the gate's decision, and both models' pictures side by side.
        metrics: those of the training and of the gate.
    """
    from components.export.stage import STAGE
    from components.task import perform

    return perform(STAGE, commit_set, "", run, report.path, metrics)
