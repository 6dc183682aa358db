"""The Kubeflow component resize.

It exists apart from the stage because a running task cannot import a module that defines components (kfp 2.17).
"""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from components.image import IMAGE


@dsl.component(base_image=IMAGE, install_kfp_package=False)
def resize(
    commit_set: str, hyperparameters: str, run: str, report: Output[HTML], metrics: Output[Metrics]
) -> NamedTuple("Filled", [("commit", str), ("commit_set", str)]):  # type: ignore[valid-type]
    """Bring the new pictures of a commit of `input_images` to the model's size, into `preprocess_images`.

    Args:
        commit_set: id of the commit set; empty for all that is open; "new" for a fresh set.
        hyperparameters: of a fresh set alone, as TOML, e.g. resize.size = 128.
        run: id of the run, put in by Kubeflow.
        report: the prepared pictures, and the files that were left out.
        metrics: none so far.
    """
    from components.resize.stage import STAGE
    from components.task import perform

    return perform(STAGE, commit_set, hyperparameters, run, report.path, metrics)
