"""What a training saves so that it can go on, and the check that it goes on with what was begun.

It exists apart from the loop because a resumption is a promise of its own: weights, moments, counters and the losses
that are not yet written down come back together, or not at all.
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
from pix2pix.training.preview import PICTURES
from pix2pix.training.step import TrainingStep

ARCHIVES = ("generator", "discriminator", "optimizer")
MAY_CHANGE = frozenset(
    {
        *("max_steps", "max_epochs", "max_seconds", "log_steps", "evaluation_steps"),
        *("save_seconds", "save_steps", "keep_checkpoints", "cache_megabytes", "devices"),
    }
)
"""Hyperparameters that may differ when a training goes on: they do not change what a step does."""


@dataclass
class Course:
    """How far a training is.

    Attributes:
        step: steps done.
        seconds: in the training loop, up to the last saving.
        pending: losses of the steps since the last line of the journal, ``[3]`` each.
        metrics: the last figures, by name.
        best: step and value of the best measurement, where `keep_best` asks for it.
    """

    step: int = 0
    seconds: float = 0.0
    pending: list[Any] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] | None = None


def check_work_folder(work: Path, pairs: Path) -> None:
    """Refuse a work folder in which a training would learn from its own pictures, or overwrite what is not its own.

    Raises:
        InputError: it lies among the pairs, or pairs lie where results go; or it holds no state, but a ``checkpoint``
            or ``metrics.jsonl`` that is not of a training.
    """
    check_apart(pairs, work)
    check_spared(pairs, work, PICTURES)
    if checkpoints.steps(work / checkpoints.STATES):
        return
    result, history = work / checkpoints.RESULT, work / metrics_log.NAME
    foreign = [result] if os.path.lexists(result) and not (result / checkpoints.DOCUMENT).is_file() else []
    foreign += [history] if os.path.lexists(history) and not metrics_log.is_history(history) else []
    if foreign:
        raise InputError(
            f"{work} holds {foreign[0].name}, which is not of a pix2pix training; name another output folder"
        )


class States:
    """The checkpoints that one training can go on from."""

    def __init__(self, work: Path, parameters: TrainParameters, data: str) -> None:
        """Look at the states in a work folder.

        Args:
            work: the work folder.
            parameters: of the training that is to go on.
            data: digest of its pairs.
        """
        self._work, self._folder, self._parameters, self._data = work, work / checkpoints.STATES, parameters, data

    def newest(self) -> Checkpoint | None:
        """Read the newest intact state; None for a fresh start.

        Raises:
            InputError: it is of other hyperparameters or pairs, or all are damaged.
        """
        saved = checkpoints.newest(self._folder, *ARCHIVES)
        if saved:
            self._require_same(saved)
        return saved

    def of(self, step: int) -> Checkpoint:
        """Read the state of a step."""
        return checkpoints.read(self._folder / str(step), *ARCHIVES)

    def last_step(self) -> int | None:
        """The newest step that was saved."""
        return max(checkpoints.steps(self._folder), default=None)

    def save(self, course: Course, arrays: dict[str, Arrays]) -> None:
        """Save, then remove what is older than `keep_checkpoints` asks for; the best one stays.

        Raises:
            WorkError: no space left; the states before are as they were.
        """
        state = {"seconds": course.seconds, "pending": course.pending, "best": course.best, "data": self._data}
        checkpoint = Checkpoint(course.step, self._parameters, arrays, dict(course.metrics), state)
        checkpoints.write(self._folder / str(course.step), checkpoint)
        best = int(course.best["step"]) if course.best else None
        checkpoints.prune(self._folder, self._parameters.keep_checkpoints, best)

    def _require_same(self, saved: Checkpoint) -> None:
        before, now = dataclasses.asdict(saved.parameters), dataclasses.asdict(self._parameters)
        free = set(MAY_CHANGE)
        if self._parameters.learning_rate_schedule != "constant":
            free -= {"max_steps", "max_epochs"}
        changed = [
            f"{name} {before[name]} -> {now[name]}" for name in now if before[name] != now[name] and name not in free
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


def course_of(saved: Checkpoint | None) -> Course:
    """Take up the counters of a state; those of the start for None."""
    if saved is None:
        return Course()
    return Course(
        saved.step, saved.state["seconds"], list(saved.state["pending"]), dict(saved.metrics), saved.state["best"]
    )


def arrays_of(network: TrainingStep) -> dict[str, Arrays]:
    """Copy weights and moments out of the networks."""
    archives: dict[str, Arrays] = {
        "generator": {name: variable.numpy() for name, variable in network.generator.weights.items()},
        "discriminator": {name: variable.numpy() for name, variable in network.discriminator.weights.items()},
    }
    moments = itertools.chain.from_iterable(optimizer.moments for optimizer in network.optimizers)
    return {**archives, "optimizer": {str(i): moment.numpy() for i, moment in enumerate(moments)}}


def restore(network: TrainingStep, arrays: Mapping[str, Arrays]) -> None:
    """Copy weights and moments into the networks."""
    assign(network.generator, arrays["generator"])
    assign(network.discriminator, arrays["discriminator"])
    moments = itertools.chain.from_iterable(optimizer.moments for optimizer in network.optimizers)
    for i, moment in enumerate(moments):
        moment.assign(arrays["optimizer"][str(i)])


def is_finite(arrays: Mapping[str, Arrays]) -> bool:
    """Tell whether every value is a number: a sum is none as soon as one of its terms is none."""
    return all(bool(np.isfinite(np.sum(values))) for named in arrays.values() for values in named.values())
