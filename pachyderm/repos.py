"""The repos, branches and provenance of the project, as data, and their set-up.

It exists so that one module names them: every other room, and the Kubeflow pipelines, take them from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pachyderm_sdk.api import pfs

from pachyderm.connection import Connection
from pachyderm.errors import RequestError

Policy = Literal["every", "latest"]
"""``every``: each commit gets its run. ``latest``: an older set with neither claim nor run ends as superseded."""


@dataclass(frozen=True, order=True)
class BranchName:
    """A branch of a repo, written ``repo@branch``."""

    repo: str
    branch: str

    def __str__(self) -> str:
        return f"{self.repo}@{self.branch}"


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

REPORT = "/_report/"
"""Where a stage says what it did; no part of any listing that a fingerprint or a plan looks at."""

PARAMETERS_FILE = "/pix2pix.toml"
"""The parameters of an input repo; no part of any such listing either: the resolved parameters count instead."""


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


@dataclass(frozen=True)
class SetUp:
    """What `set_up` found and made; names of repos and of branches (``repo@branch``)."""

    created: tuple[str, ...]
    existing: tuple[str, ...]


def set_up(client: Connection) -> SetUp:
    """Make the repos, branches and provenance that are missing.

    Two transactions, for two branches of one repo cannot get heads in one (pachd: "inconsistent commit"). Output
    commits that set-up itself opens over empty inputs are finished empty; an input that holds data is work.

    Raises:
        RequestError: the repos are there with another provenance; nothing is changed.
    """
    if client.project not in {info.project.name for info in client.pfs.list_project()}:
        client.pfs.create_project(project=pfs.Project(name=client.project))
    before = _branches(client)
    _refuse_another_dag(before)
    missing_repos = [name for name in REPOS if name not in before]
    created, existing = list(missing_repos), [name for name in REPOS if name in before]
    for batch in ((TRAINING, INPUT_IMAGES, CHECKPOINT, CANDIDATE, PREPROCESS_IMAGES), (MODEL, GENERATE_IMAGES)):
        missing = [name for name in batch if name.branch not in before.get(name.repo, {})]
        created += [str(name) for name in missing]
        existing += [str(name) for name in batch if name not in missing]
        if missing or missing_repos:
            with client.transaction.transaction():
                for repo in missing_repos:
                    client.pfs.create_repo(repo=client.repo(repo), description=_DESCRIPTIONS[repo])
                for name in missing:
                    provenance = [client.branch(p) for p in PROVENANCE.get(name, ())]
                    client.pfs.create_branch(branch=client.branch(name), provenance=provenance)
            missing_repos = []
        _finish_empty(client, missing)
    return SetUp(tuple(created), tuple(existing))


def check_set_up(client: Connection) -> None:
    """Refuse to work where set-up was not done.

    Raises:
        RequestError: a repo or branch is missing, or the provenance is another.
    """
    present = _branches(client)
    _refuse_another_dag(present)
    missing = [str(name) for name in (*INPUTS, MODEL, *PROVENANCE) if name.branch not in present.get(name.repo, {})]
    if missing:
        raise RequestError(f"the repos are not set up here ({', '.join(missing)} missing); run: pix2pix setup")


_DESCRIPTIONS = {
    "training": "A|B pairs and the parameters to train with; a commit trains a model",
    "checkpoint": "trained weights of each training commit, made by the stage train",
    "model": "SavedModels; candidate: every model, master: the promoted one",
    "input_images": "pictures to translate; a commit generates",
    "preprocess_images": "input pictures at the model's size, made by the stage resize",
    "generate_images": "translated pictures, made by the stage generate",
}


def _branches(client: Connection) -> dict[str, dict[str, frozenset[BranchName]]]:
    """Repo -> branch -> its direct provenance, of our repos that exist."""
    present = {
        info.repo.name for info in client.pfs.list_repo(type="user", projects=[pfs.Project(name=client.project)])
    }
    return {
        repo: {
            info.branch.name: frozenset(BranchName(b.repo.name, b.name) for b in info.direct_provenance)
            for info in client.pfs.list_branch(repo=client.repo(repo))
        }
        for repo in REPOS
        if repo in present
    }


def _refuse_another_dag(present: dict[str, dict[str, frozenset[BranchName]]]) -> None:
    for name in (*INPUTS, MODEL, *PROVENANCE):
        branches = present.get(name.repo, {})
        expected = frozenset(PROVENANCE.get(name, ()))
        if name.branch in branches and branches[name.branch] != expected:
            raise RequestError(
                f"{name} is made from {_names(branches[name.branch])} here, and pix2pix needs {_names(expected)}; "
                f"another project owns these repos: use another Pachyderm project, or rename them"
            )


def _names(branches: Iterable[BranchName]) -> str:
    return ", ".join(sorted(map(str, branches))) or "nothing"


def _finish_empty(client: Connection, made: list[BranchName]) -> None:
    """Finish the first output commits, parents before children, where their inputs hold nothing."""
    for name in PROVENANCE:
        if name not in made:
            continue
        info = client.pfs.inspect_commit(commit=pfs.Commit(repo=client.repo(name.repo), branch=client.branch(name)))
        if info.finishing.timestamp() > 0:
            continue
        sources = info.direct_provenance
        if any(_holds_files(client, commit) for commit in sources):
            continue
        client.pfs.finish_commit(commit=client.commit(name.repo, info.commit.id))
        client.pfs.inspect_commit(commit=client.commit(name.repo, info.commit.id), wait=pfs.CommitState.FINISHED)


def _holds_files(client: Connection, commit: pfs.Commit) -> bool:
    info = client.pfs.inspect_commit(commit=client.commit(commit.repo.name, commit.id))
    if info.finished.timestamp() <= 0:
        return True
    files = client.pfs.list_file(file=pfs.File(commit=client.commit(commit.repo.name, commit.id), path="/"))
    return next(iter(files), None) is not None
