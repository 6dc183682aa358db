"""The repos, branches and provenance of the project, as data.

It exists so that one module names them: every other room, and the Kubeflow pipelines, take them from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pachyderm.client.branches import BranchName

Policy = Literal["every", "latest"]
"""``every``: each commit gets its run. ``latest``: an older set with neither claim nor run ends as superseded."""


TRAINING = BranchName("training", "master")
CHECKPOINT = BranchName("checkpoint", "master")
CANDIDATE = BranchName("model", "candidate")
MODEL = BranchName("model", "master")
INPUT_IMAGES = BranchName("input_images", "master")
PREPROCESS_IMAGES = BranchName("preprocess_images", "master")
GENERATE_IMAGES = BranchName("generate_images", "master")

INPUTS = (TRAINING, INPUT_IMAGES)
"""The branches that people commit to."""

PROVENANCE: dict[BranchName, tuple[BranchName, ...]] = {
    CHECKPOINT: (TRAINING,),
    CANDIDATE: (CHECKPOINT,),
    PREPROCESS_IMAGES: (INPUT_IMAGES,),
    GENERATE_IMAGES: (PREPROCESS_IMAGES, MODEL),
}
"""Output branch -> the branches whose commits its commits are made from, in the order in which stages run."""

REPOS = ("training", "checkpoint", "model", "input_images", "preprocess_images", "generate_images")


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as data: which input moves it, which output branches its stages fill, in order.

    Attributes:
        name: of the Kubeflow pipeline.
        source: the input branch.
        outputs: the branches that its stages fill, upstream first.
        policy: what happens to sets that are overtaken, unless the input's parameters file says otherwise.
    """

    name: str
    source: BranchName
    outputs: tuple[BranchName, ...]
    policy: Policy


TRAINING_AND_EXPORT = Pipeline("training_and_export", TRAINING, (CHECKPOINT, CANDIDATE), "latest")
PREPROCESSING_AND_GENERATION = Pipeline(
    "preprocessing_and_generation", INPUT_IMAGES, (PREPROCESS_IMAGES, GENERATE_IMAGES), "every"
)
PIPELINES = (TRAINING_AND_EXPORT, PREPROCESSING_AND_GENERATION)
"""The pipelines that a trigger starts; together they own every output branch once."""


def pipeline_of(output: BranchName) -> Pipeline:
    """The pipeline whose stages fill an output branch."""
    return next(pipeline for pipeline in PIPELINES if output in pipeline.outputs)
