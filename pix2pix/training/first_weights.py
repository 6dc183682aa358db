"""The weights of an earlier training that another one begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pix2pix.errors import InputError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.hyperparameters.warm_start import misfit
from pix2pix.model.networks import assign
from pix2pix.training import checkpoints
from pix2pix.training.checkpoints import Arrays
from pix2pix.training.step import TrainingStep


@dataclass(frozen=True)
class EarlierModel:
    """The result of an earlier training, which another one begins with.

    Attributes:
        folder: its checkpoint, or its work folder.
        name: what notes and the report call it.
        learnt_from: names of pairs that it learnt from, relative to the folder of pairs.
        required: whether the training fails if it cannot begin with this model although the weights fit.
    """

    folder: Path
    name: str
    learnt_from: frozenset[str] = frozenset()
    required: bool = True


@dataclass(frozen=True)
class FirstWeights:
    """The weights that a training begins with instead of those that its seed gives.

    Attributes:
        name: what notes and the report call the model that they come from.
        folder: the checkpoint that they were read from.
        arrays: ``generator`` and, where there is one, ``discriminator``.
    """

    name: str
    folder: Path
    arrays: Mapping[str, Arrays]

    @property
    def digest(self) -> str:
        """SHA-256 of all names and values, hex."""
        hasher = hashlib.sha256()
        for archive, arrays in sorted(self.arrays.items()):
            for name, values in sorted(arrays.items()):
                hasher.update(f"{archive}/{name}{values.shape}\0".encode())
                hasher.update(np.ascontiguousarray(values).tobytes())
        return hasher.hexdigest()


def check_fit(model: EarlierModel | None, parameters: TrainParameters) -> None:
    """Refuse an earlier model that a training cannot begin with, before pairs are read.

    Raises:
        InputError: it is not a checkpoint, or does not fit; the message names the values.
    """
    problem = misfit(parameters, checkpoints.read(_checkpoint(model.folder)).parameters) if model else ""
    if model and problem:
        raise InputError(
            f"the training cannot begin with the weights of {model.name}: {problem}; give equal values, or leave it out"
        )


def first_weights(model: EarlierModel | None, parameters: TrainParameters) -> FirstWeights | None:
    """Read the weights of an earlier model that fits; None for None.

    Raises:
        InputError: the checkpoint is damaged.
    """
    if model is None:
        return None
    archives = ("generator", "discriminator") if parameters.gan_weight else ("generator",)
    folder = _checkpoint(model.folder)
    return FirstWeights(model.name, folder, checkpoints.read(folder, *archives).arrays)


def _checkpoint(folder: Path) -> Path:
    return folder / checkpoints.RESULT if (folder / checkpoints.RESULT).is_dir() else folder


def leaked(model: EarlierModel | None, held_out: Sequence[str]) -> str:
    """Return why a model cannot be begun with, given the names of the held-out pairs; empty if it can.

    A pair near to a new one may change sides with it, and would be measured by a model that learnt from it.

    Raises:
        InputError: the model is required.
    """
    number = len(model.learnt_from.intersection(held_out)) if model is not None else 0
    if model is None or not number:
        return ""
    reason = f"{model.name} learnt from {number} of the {len(held_out)} pairs that are held out now"
    if model.required:
        raise InputError(f"the training cannot begin with its weights: {reason}; train from the seed")
    return f"The training began from its seed: {reason}."


def begin_with(network: TrainingStep, first: FirstWeights) -> None:
    """Set the weights before the first step; moments stay zero.

    Raises:
        InputError: an array is not that of a network with the hyperparameters of the checkpoint.
    """
    for name, arrays in first.arrays.items():
        networks = (network.generator, network.averaged) if name == "generator" else (network.discriminator,)
        checkpoints.require_fit(first.folder, arrays, networks[0].weights)
        for target in networks:
            assign(target, arrays)
