"""The Kubeflow component generate.

It exists apart from the stage because a running task cannot import a module that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def generate(commit_set: str, run: str, report: Output[HTML], metrics: Output[Metrics]) -> NamedTuple(  # type: ignore[valid-type]
    "Filled", [("commit", str), ("commit_set", str)]
):
    """Translate the prepared pictures of a commit set with the promoted model, into `generate_images`.

    Args:
        commit_set: id of the commit set; empty for all that is open.
        run: id of the run, put in by Kubeflow.
        report: the generated pictures.
        metrics: none so far.
    """
    from components.generate.stage import STAGE
    from components.task import perform

    return perform(STAGE, commit_set, "", run, report.path, metrics)
