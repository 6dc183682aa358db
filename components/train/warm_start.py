"""When a training begins with the weights of the model that was made for an earlier commit of `training`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pachyderm.client.download import download
from pachyderm.dag.repos import TRAINING
from pachyderm.errors import PermanentError, StorageError
from pachyderm.output.stage import Continuation, Input, StageContext
from pachyderm.record.parent import Parent
from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.hyperparameters.warm_start import changed_objective, misfit

if TYPE_CHECKING:
    from pix2pix.training.first_weights import EarlierModel  # imports TensorFlow

WEIGHTS = "/checkpoint/"
"""Folder of the weights in a commit of `checkpoint`."""

SHARED = 0.5
"""Share of the pairs that the parent's commit must hold for ``warm_start = "auto"``."""


def reason_against(own: TrainParameters, inputs: Mapping[str, Input], parent: Parent) -> str:
    """Return why a training does not begin with the weights of its parent; empty if it does.

    Args:
        own: parameters of the training.
        inputs: of the training.
        parent: the model of the nearest earlier commit.

    Raises:
        PermanentError: the weights do not fit, and ``warm_start = "always"``.
    """
    recorded = {name: entry.value for name, entry in parent.record.parameters.items()}
    try:
        earlier = TrainParameters.recorded({n: value for n, value in recorded.items() if n in TrainParameters.TYPES})
        problem = misfit(own, earlier)
    except HyperparameterError as error:
        return f"its recorded hyperparameters cannot be used: {error}"
    if own.warm_start == "always" and problem:
        raise PermanentError(
            f'warm_start = "always", and the weights of {parent.commit} do not fit: {problem}; commit a /pix2pix.toml'
            ' with its values, or with warm_start = "auto" or "never"'
        )
    if own.warm_start == "always" or problem:
        return problem
    changed = changed_objective(own, earlier)
    if changed:
        return f"another objective: {changed}"
    contents = {entry.hash for entry in parent.sources.values()}
    pairs = inputs[TRAINING.repo].files.values()
    shared = sum(entry.hash in contents for entry in pairs)
    if shared < SHARED * len(pairs):
        return f"only {shared} of the {len(pairs)} pairs were there, and half of them are needed"
    return ""


def _fetch(job: StageContext, parent: Parent, folder: Path) -> None:
    """Download the weights, and compare them with the record, whose digests the fingerprint names."""
    commit, wanted = parent.commit, parent.files(WEIGHTS)
    download(job.client, commit.repo, commit.id, wanted, folder, rename=lambda path: path.removeprefix(WEIGHTS))
    for path in wanted:
        with (folder / path.removeprefix(WEIGHTS)).open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 != parent.record.files[path].sha256:
            raise StorageError(
                f"{commit}:{path} differs from the commit's record; `pix2pix fsck --repair` quarantines the commit, and"
                " the next attempt begins with another model"
            )


def _learnt_by(job: StageContext, parent: Parent) -> frozenset[str]:
    """Return the names of the pairs, relative to their folder, whose content the parent learnt from."""
    measured = set(parent.record.held_out or ())
    rejected = {entry.path for entry in parent.record.rejected}
    contents = {entry.hash for path, entry in parent.sources.items() if path not in measured | rejected}
    pairs = job.inputs[TRAINING.repo].files
    return frozenset(path.lstrip("/") for path, entry in pairs.items() if entry.hash in contents)


def earlier_model(job: StageContext) -> EarlierModel | None:
    """Download the weights of the parent; None without one.

    Raises:
        StorageError: they differ from the parent's record.
    """
    parent = job.start.parent
    if parent is None:
        return None
    from pix2pix.training.first_weights import EarlierModel

    folder = job.scratch / "parent"
    _fetch(job, parent, folder)
    required = job.parameters.warm_start == "always"
    return EarlierModel(folder, str(parent.commit), _learnt_by(job, parent), required)


CONTINUATION = Continuation(
    wanted=lambda parameters: parameters.warm_start != "never", misfit=reason_against, folder=WEIGHTS
)
