"""The DAG as data: repos, branches, stages, pipelines and their policy; everything that names one reads it here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pachyderm.client.branches import BranchName

SupersessionPolicy = Literal["every", "latest"]
"""``every``: each commit set gets its run. ``latest``: a newer set supersedes an older one without claim and run."""

TRAINING = BranchName("training", "master")
CHECKPOINT = BranchName("checkpoint", "master")
CANDIDATE = BranchName("model", "candidate")
MODEL = BranchName("model", "master")
INPUT_IMAGES = BranchName("input_images", "master")
PREPROCESS_IMAGES = BranchName("preprocess_images", "master")
GENERATE_IMAGES = BranchName("generate_images", "master")

INPUTS = (TRAINING, INPUT_IMAGES)
"""The branches that people commit to."""


@dataclass(frozen=True)
class Resources:
    """What a stage asks of a cluster.

    Attributes:
        cpu: processors.
        memory: as Kubernetes writes it; requested and limited to.
        seconds: after which a native Pachyderm datum is ended.
    """

    cpu: int
    memory: str
    seconds: int


@dataclass(frozen=True)
class StageSpec:
    """A stage as data; `components.registry` adds its code.

    Attributes:
        name: of the stage, its component, and its section of the parameters file.
        output: the branch whose output commits it fills.
        inputs: the branches that the output commits are made from. Where `per_file` is set, the first holds the datums.
        per_file: whether each file of the first input becomes one file of the output.
        title: heading of the stage's results on pages.
        description: of the output repo, as `pix2pix setup` writes it.
        resources: on a cluster, without a GPU.
    """

    name: str
    output: BranchName
    inputs: tuple[BranchName, ...]
    per_file: bool
    title: str
    description: str
    resources: Resources


_HOUR = 3600

TRAIN = StageSpec(
    name="train",
    output=CHECKPOINT,
    inputs=(TRAINING,),
    per_file=False,
    title="Trained",
    description="trained weights of each training commit, made by the stage train",
    resources=Resources(4, "16Gi", 7 * 24 * _HOUR),
)
EXPORT = StageSpec(
    name="export",
    output=CANDIDATE,
    inputs=(CHECKPOINT,),
    per_file=False,
    title="Exported",
    description="SavedModels; candidate: every model, master: the promoted one",
    resources=Resources(1, "4Gi", _HOUR),
)
RESIZE = StageSpec(
    name="resize",
    output=PREPROCESS_IMAGES,
    inputs=(INPUT_IMAGES,),
    per_file=True,
    title="Prepared",
    description="input pictures at the model's size, made by the stage resize",
    resources=Resources(2, "4Gi", 24 * _HOUR),
)
GENERATE = StageSpec(
    name="generate",
    output=GENERATE_IMAGES,
    inputs=(PREPROCESS_IMAGES, MODEL),
    per_file=True,
    title="Generated",
    description="translated pictures, made by the stage generate",
    resources=Resources(2, "8Gi", 24 * _HOUR),
)

STAGES = (TRAIN, EXPORT, RESIZE, GENERATE)
"""Every stage, upstream first."""

INPUT_DESCRIPTIONS = {
    TRAINING.repo: "A|B pairs and the parameters to train with; a commit trains a model",
    INPUT_IMAGES.repo: "pictures to translate; a commit generates",
}
"""Input repo -> its description, as `pix2pix setup` writes it."""

PROVENANCE: dict[BranchName, tuple[BranchName, ...]] = {stage.output: stage.inputs for stage in STAGES}
"""Output branch -> the branches whose commits its commits are made from, in the order in which stages run."""


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as data: which input starts it, which stages it runs, in order.

    Attributes:
        name: of the Kubeflow pipeline.
        source: the input branch.
        stages: upstream first.
        policy: for commit sets that a newer one overtakes, unless the input's parameters file sets another.
    """

    name: str
    source: BranchName
    stages: tuple[StageSpec, ...]
    policy: SupersessionPolicy

    @property
    def outputs(self) -> tuple[BranchName, ...]:
        """The branches that its stages fill, upstream first."""
        return tuple(stage.output for stage in self.stages)


TRAINING_AND_EXPORT = Pipeline("training_and_export", TRAINING, (TRAIN, EXPORT), "latest")
PREPROCESSING_AND_GENERATION = Pipeline("preprocessing_and_generation", INPUT_IMAGES, (RESIZE, GENERATE), "every")
PIPELINES = (TRAINING_AND_EXPORT, PREPROCESSING_AND_GENERATION)
"""The pipelines that a trigger starts; together they own every output branch once."""


REPOS = tuple(dict.fromkeys(branch.repo for pipeline in PIPELINES for branch in (pipeline.source, *pipeline.outputs)))
"""Every repo: each input, followed by what is made from it."""


def pipeline_of(output: BranchName) -> Pipeline:
    """The pipeline whose stages fill an output branch."""
    return next(pipeline for pipeline in PIPELINES if output in pipeline.outputs)


def stage_of(repo: str) -> StageSpec:
    """The stage that fills an output repo.

    Raises:
        KeyError: no stage fills this repo.
    """
    return _STAGE_OF[repo]


_STAGE_OF = {stage.output.repo: stage for stage in STAGES}
