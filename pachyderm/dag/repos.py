"""The DAG as data: repos, branches, stages, pipelines and their supersession policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pachyderm.client.branches import BranchName

SupersessionPolicy = Literal["every", "latest"]
"""``every``: each commit set gets a run. ``latest``: a newer commit set supersedes those without a claim or run."""

TRAINING = BranchName("training", "master")
CHECKPOINT = BranchName("checkpoint", "master")
CANDIDATE = BranchName("model", "candidate")
MODEL = BranchName("model", "master")
INPUT_IMAGES = BranchName("input_images", "master")
PREPROCESS_IMAGES = BranchName("preprocess_images", "master")
GENERATE_IMAGES = BranchName("generate_images", "master")

INPUTS = (TRAINING, INPUT_IMAGES)
"""The branches that users commit to."""


@dataclass(frozen=True)
class Resources:
    """Resources that a stage requests of a cluster.

    Attributes:
        cpu: number of processors.
        memory: a Kubernetes quantity; both request and limit.
        seconds: time limit of a datum of a native Pachyderm pipeline.
    """

    cpu: int
    memory: str
    seconds: int


@dataclass(frozen=True)
class StageSpec:
    """A stage as data; `components.registry` adds its code.

    Attributes:
        name: name of the stage, of its component, and of its section in the parameters file.
        output: the branch whose output commits it fills.
        inputs: the provenance of `output`. If `per_file` is set, the first input holds the datums.
        per_file: whether each file of the first input becomes one file of the output.
        title: heading of the stage's results on pages.
        description: description of the output repo, set by `pix2pix setup`.
        resources: resources on a cluster, without a GPU.
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
"""Output branch -> its direct provenance, in the order in which the stages run."""


@dataclass(frozen=True)
class Pipeline:
    """A pipeline as data.

    Attributes:
        name: name of the Kubeflow pipeline.
        source: the input branch whose commits start it.
        stages: the stages that it runs, upstream first.
        policy: supersession policy, unless the input's parameters file sets another.
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
"""The pipelines that a trigger starts; each output branch belongs to exactly one of them."""

REPOS = tuple(dict.fromkeys(branch.repo for pipeline in PIPELINES for branch in (pipeline.source, *pipeline.outputs)))
"""Every repo: each input, followed by the repos downstream of it."""


def pipeline_of(output: BranchName) -> Pipeline:
    """Return the pipeline whose stages fill an output branch."""
    return next(pipeline for pipeline in PIPELINES if output in pipeline.outputs)


def stage_of(repo: str) -> StageSpec:
    """Return the stage that fills an output repo.

    Raises:
        KeyError: no stage fills this repo.
    """
    return _STAGE_OF[repo]


_STAGE_OF = {stage.output.repo: stage for stage in STAGES}
