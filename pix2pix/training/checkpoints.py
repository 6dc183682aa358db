"""Checkpoints on disk: NumPy archives in a folder that appears whole or not at all.

    checkpoint.json       format, step, hyperparameters, metrics
    generator.npz         weights by name; its bytes depend on nothing but the weights
    discriminator.npz     likewise
    optimizer.npz         Adam's moments (only in states to resume from)

A killed process, a full disk or a truncated file leaves earlier checkpoints readable.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pix2pix.errors import HyperparameterError, InputError
from pix2pix.files import is_number, reporting_full_disk
from pix2pix.hyperparameters import TrainParameters

logger = logging.getLogger(__name__)

FORMAT = 1
"""Version of the folder's format; raised when an older one can no longer be read."""
DOCUMENT = "checkpoint.json"
RESULT, STATES = Path("checkpoint"), Path("state") / "checkpoints"
"""Inside a training's work folder: the resulting weights, and the states to resume from."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint folder.

    Attributes:
        step: training steps that the weights have seen.
        parameters: of the training.
        arrays: archive -> name -> float32 values, e.g. ``generator`` -> ``e1/kernel``.
        metrics: name -> value, on held-out pairs and training pairs.
        state: whatever else a resumption needs; JSON.
        inputs: statistics of the inputs that were learnt from (`pix2pix.model.look.InputLook.document`); JSON.
    """

    step: int
    parameters: TrainParameters
    arrays: dict[str, Arrays]
    metrics: dict[str, float] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint folder; an existing one is replaced once the new one is safe on disk.

    Raises:
        WorkError: no space left; an existing checkpoint is unchanged.
    """
    partial = folder.with_name(f"{folder.name}.part")
    with reporting_full_disk(f"the checkpoint {folder}"), contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, partial, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, arrays in checkpoint.arrays.items():
            with (partial / f"{name}.npz").open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
                _sync(file)
        document = {
            "format": FORMAT,
            "step": checkpoint.step,
            "parameters": dataclasses.asdict(checkpoint.parameters),
            "metrics": checkpoint.metrics,
            **({"inputs": checkpoint.inputs} if checkpoint.inputs else {}),
            **({"state": checkpoint.state} if checkpoint.state else {}),
        }
        with (partial / DOCUMENT).open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            _sync(file)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def read(folder: Path, *archives: str) -> Checkpoint:
    """Read a checkpoint folder.

    Args:
        folder: as written by `write`.
        archives: names of the archives to read, e.g. ``generator``.

    Raises:
        InputError: the folder is not a checkpoint, has another format, or is damaged.
    """
    document = _read_document(folder)
    try:
        return Checkpoint(
            step=document["step"],
            parameters=TrainParameters.recorded(document["parameters"]),
            arrays={name: _load(folder / f"{name}.npz") for name in archives},
            metrics=document["metrics"],
            inputs=document.get("inputs", {}),
            state=document.get("state", {}),
        )
    except HyperparameterError as error:
        raise InputError(f"the checkpoint {folder} is of another version: {error}") from error
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint {folder} is damaged or truncated ({type(error).__name__}: {error});"
            " use another or train again"
        ) from error


def newest(folder: Path, *archives: str) -> Checkpoint | None:
    """Read the newest intact checkpoint of a folder of checkpoints; damaged ones are skipped with a warning.

    Returns:
        None if the folder holds no checkpoints.

    Raises:
        InputError: there are checkpoints, but none is intact.
    """
    saved = steps(folder)
    for step in reversed(saved):
        try:
            return read(folder / str(step), *archives)
        except InputError as error:
            logger.warning("%s; trying the previous one", error)
    if saved:
        raise InputError(f"no checkpoint in {folder} can be read; remove the folder to start over")
    return None


def require_fit(folder: Path, arrays: Arrays, weights: Mapping[str, Any]) -> None:
    """Refuse arrays that are not the weights of a network.

    Args:
        folder: of the checkpoint, for the message.
        arrays: as read from it.
        weights: of the network that its hyperparameters describe.

    Raises:
        InputError: a name or shape differs.
    """
    found = {name: tuple(values.shape) for name, values in arrays.items()}
    expected = {name: tuple(variable.shape) for name, variable in weights.items()}
    if found != expected:
        name = next(n for n in sorted({*found, *expected}) if found.get(n) != expected.get(n))
        raise InputError(
            f"the checkpoint {folder} does not fit its own hyperparameters: {name} is {found.get(name)},"
            f" the network expects {expected.get(name)}; train again"
        )


def steps(folder: Path) -> list[int]:
    """Return the steps of the checkpoints in a folder, ascending."""
    return sorted(int(path.name) for path in folder.iterdir() if is_number(path.name)) if folder.is_dir() else []


def prune(folder: Path, keep: int, pinned: int | None) -> None:
    """Remove all checkpoints but the newest `keep` and the one of step `pinned`."""
    for step in steps(folder)[:-keep]:
        if step != pinned:
            shutil.rmtree(folder / str(step))


def _read_document(folder: Path) -> dict[str, Any]:
    try:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder} is not a checkpoint: {DOCUMENT} is missing; name the folder that training wrote"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"the checkpoint {folder} is damaged ({DOCUMENT} is not valid JSON); use another or train again"
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"the checkpoint {folder} has another format than {FORMAT}; train again with this version")
    return document


def _load(path: Path) -> Arrays:
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except Exception as error:  # zipfile, tokenize and NumPy raise anything on flipped bits: RuntimeError, ...
            raise ValueError(f"{path.name}: {type(error).__name__}: {error}") from error


def _sync(file: Any) -> None:
    # Before the rename: a machine that crashes could otherwise leave a complete folder of empty files.
    file.flush()
    os.fsync(file.fileno())
