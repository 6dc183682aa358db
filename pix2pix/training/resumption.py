"""The states from which a training is resumed, and the checks of a work folder.

Weights, moments, counters and the losses that are not yet logged are saved and restored together.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pix2pix.errors import InputError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.folders import check_apart, check_spared
from pix2pix.model.networks import assign
from pix2pix.training import checkpoints, metrics_log
from pix2pix.training.checkpoints import Arrays, Checkpoint
from pix2pix.training.first_weights import FirstWeights
from pix2pix.training.preview import PICTURES
from pix2pix.training.step import TrainingStep

ARCHIVES = ("generator", "average", "discriminator", "optimizer")
"""The arrays of a state; ``average`` and ``discriminator`` are empty where the training has none."""
MAY_CHANGE = frozenset(
    {
        *("max_steps", "max_epochs", "max_seconds", "log_steps", "evaluation_steps"),
        *("save_seconds", "save_steps", "keep_checkpoints", "cache_megabytes", "devices", "warm_start"),
    }
)
"""Hyperparameters that may change when a training is resumed: they do not affect what a step computes."""


@dataclass
class TrainState:
    """The progress of a training.

    Attributes:
        step: steps taken.
        seconds: spent in the training loop up to the last save.
        pending: losses of the steps since the last record of losses, ``[3]`` each.
        metrics: name -> the last value.
        best: step and value of the best evaluation; None unless `keep_best` asks for it.
    """

    step: int = 0
    seconds: float = 0.0
    pending: list[Any] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] | None = None


def check_work_folder(work: Path, pairs: Path) -> None:
    """Refuse a work folder in which a training would learn from its own pictures or overwrite other files.

    Raises:
        InputError: the folder lies among the pairs, or pairs lie where results go; or it holds no state, but a
            ``checkpoint`` or ``metrics.jsonl`` that no training wrote.
    """
    check_apart(pairs, work)
    check_spared(pairs, work, PICTURES)
    if checkpoints.steps(work / checkpoints.STATES):
        return
    result, log = work / checkpoints.RESULT, work / metrics_log.FILE_NAME
    foreign = [result] if os.path.lexists(result) and not (result / checkpoints.DOCUMENT).is_file() else []
    foreign += [log] if os.path.lexists(log) and not metrics_log.is_metrics_log(log) else []
    if foreign:
        raise InputError(
            f"{work} holds {foreign[0].name}, which is not of a pix2pix training; name another output folder"
        )


class StateStore:
    """The states of one training in its work folder."""

    def __init__(self, work: Path, parameters: TrainParameters, data: str, first: FirstWeights | None) -> None:
        """Refer to the states in a work folder.

        Args:
            work: the work folder.
            parameters: of the training that is resumed.
            data: digest of its pairs.
            first: the weights that it began with; None: those that its seed gives.
        """
        self._work, self._folder, self._parameters, self._data = work, work / checkpoints.STATES, parameters, data
        self._first = first.digest if first else None

    def newest(self) -> Checkpoint | None:
        """Read the newest intact state; None if there are no states.

        Raises:
            InputError: the state has other hyperparameters or pairs, or all states are damaged.
        """
        saved = checkpoints.newest(self._folder, *ARCHIVES)
        if saved:
            self._require_same(saved)
        return saved

    def read(self, step: int) -> Checkpoint:
        """Read the state of a step."""
        return checkpoints.read(self._folder / str(step), *ARCHIVES)

    def last_step(self) -> int | None:
        """Return the newest step that was saved."""
        return max(checkpoints.steps(self._folder), default=None)

    def save(self, state: TrainState, arrays: dict[str, Arrays]) -> None:
        """Save a state, then remove the oldest ones beyond `keep_checkpoints`; the best one stays.

        Raises:
            WorkError: no space left; earlier states are unchanged.
        """
        document = {"seconds": state.seconds, "pending": state.pending, "best": state.best, "data": self._data}
        document |= {"first_weights": self._first} if self._first else {}
        checkpoint = Checkpoint(state.step, self._parameters, arrays, dict(state.metrics), document)
        checkpoints.write(self._folder / str(state.step), checkpoint)
        best = int(state.best["step"]) if state.best else None
        checkpoints.prune(self._folder, self._parameters.keep_checkpoints, best)

    def _require_same(self, saved: Checkpoint) -> None:
        before, now = dataclasses.asdict(saved.parameters), dataclasses.asdict(self._parameters)
        allowed = set(MAY_CHANGE)
        if self._parameters.ends_at_zero_rate:
            allowed -= {"max_steps", "max_epochs"}
        changed = [
            f"{name} {before[name]} -> {now[name]}" for name in now if before[name] != now[name] and name not in allowed
        ]
        if changed:
            raise InputError(
                f"{self._work} holds a training with other hyperparameters ({', '.join(changed)});"
                " give the same ones, or another output folder"
            )
        if saved.state["data"] != self._data:
            raise InputError(
                f"{self._work} holds a training on other pairs; give the same folder of pairs, or another output folder"
            )
        if saved.state.get("first_weights") != self._first:
            raise InputError(
                f"{self._work} holds a training that began with other weights; begin with the same, or give another"
                " output folder"
            )


def train_state(saved: Checkpoint | None) -> TrainState:
    """Return the progress that was saved; that of a fresh start for None."""
    if saved is None:
        return TrainState()
    return TrainState(
        saved.step, saved.state["seconds"], list(saved.state["pending"]), dict(saved.metrics), saved.state["best"]
    )


def copy_arrays(network: TrainingStep) -> dict[str, Arrays]:
    """Return a copy of all weights and moments."""
    archives: dict[str, Arrays] = {
        "generator": {name: variable.numpy() for name, variable in network.generator.weights.items()},
        "average": {name: variable.numpy() for name, variable in network.averaged.weights.items()},
        "discriminator": {name: variable.numpy() for name, variable in network.discriminator.weights.items()},
    }
    if network.averaged is network.generator:
        archives["average"] = {}
    moments = itertools.chain.from_iterable(optimizer.moments for optimizer in network.optimizers)
    return {**archives, "optimizer": {str(i): moment.numpy() for i, moment in enumerate(moments)}}


def result_arrays(network: TrainingStep) -> dict[str, Arrays]:
    """Return a copy of the weights that a training results in: of the averaged generator, and of the discriminator."""
    copied = copy_arrays(network)
    found = {"generator": copied["average"] or copied["generator"], "discriminator": copied["discriminator"]}
    return {name: values for name, values in found.items() if values}


def restore(network: TrainingStep, arrays: Mapping[str, Arrays]) -> None:
    """Set all weights and moments."""
    assign(network.generator, arrays["generator"])
    assign(network.discriminator, arrays["discriminator"])
    if network.averaged is not network.generator:
        assign(network.averaged, arrays["average"])
    moments = itertools.chain.from_iterable(optimizer.moments for optimizer in network.optimizers)
    for i, moment in enumerate(moments):
        moment.assign(arrays["optimizer"][str(i)])


def is_finite(arrays: Mapping[str, Arrays]) -> bool:
    """Return whether every value is finite."""
    # A sum is not finite as soon as one term is not, and needs no array of flags.
    return all(bool(np.isfinite(np.sum(values))) for named in arrays.values() for values in named.values())
