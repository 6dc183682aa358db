"""Weights and training states on disk, as plain NumPy archives that appear whole or not at all.

It exists so that a process may be killed at any moment, a disk may fill up, or a file may be cut short, and what was
saved before is still found. A checkpoint is a folder:

    checkpoint.json       format, step, hyperparameters, metrics
    generator.npz         weights by name; its bytes depend on nothing but the weights
    discriminator.npz     likewise
    optimizer.npz         Adam's moments (only in states to resume from)
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pix2pix.errors import HyperparameterError, InputError, WorkError
from pix2pix.hyperparameters import TrainParameters

logger = logging.getLogger(__name__)

FORMAT = 1
"""Of the folder; raised when an older one can no longer be read."""
DOCUMENT = "checkpoint.json"
RESULT, STATES = Path("checkpoint"), Path("state") / "checkpoints"
"""Inside a training's work folder: the resulting weights, and what it goes on from."""
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """One folder's content.

    Attributes:
        step: steps that the weights have seen.
        parameters: with which they are trained.
        arrays: archive -> name -> float32 values, e.g. ``generator`` -> ``e1/kernel``.
        metrics: name -> value on held-out pairs and training pairs.
        state: whatever else a resumption needs; JSON.
    """

    step: int
    parameters: TrainParameters
    arrays: dict[str, Arrays]
    metrics: dict[str, float] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def full_disk_told(what: str) -> Iterator[None]:
    """Turn the failure of a full disk, a quota or a limit on file sizes into a `WorkError` that names `what`."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise WorkError(
            f"no space for {what} ({error.strerror}); free some and start again: it goes on from what was saved"
        ) from error


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint folder; one of that name is replaced once the new one is safe on disk.

    Raises:
        WorkError: there is no space left; what was there before is still there.
    """
    partial = folder.with_name(f"{folder.name}.part")
    with full_disk_told(f"the checkpoint {folder}"), contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, partial, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, arrays in checkpoint.arrays.items():
            with (partial / f"{name}.npz").open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
                _to_disk(file)
        document = {
            "format": FORMAT,
            "step": checkpoint.step,
            "parameters": dataclasses.asdict(checkpoint.parameters),
            "metrics": checkpoint.metrics,
            **({"state": checkpoint.state} if checkpoint.state else {}),
        }
        with (partial / DOCUMENT).open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            _to_disk(file)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)


def read(folder: Path, *archives: str) -> Checkpoint:
    """Read a checkpoint folder.

    Args:
        folder: as `write` left it.
        archives: which arrays are wanted, e.g. ``generator``.

    Raises:
        InputError: it is no checkpoint, of another format, or cut short.
    """
    try:
        document = json.loads((folder / DOCUMENT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            f"{folder} is no checkpoint: it has no {DOCUMENT}; name the folder that training wrote"
        ) from error
    except ValueError as error:
        raise InputError(
            f"the checkpoint {folder} is damaged ({DOCUMENT} is no JSON); take another or train again"
        ) from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise InputError(f"the checkpoint {folder} has another format than {FORMAT}; train again with this version")
    try:
        arrays = {name: _load(folder / f"{name}.npz") for name in archives}
        return Checkpoint(
            step=document["step"],
            parameters=TrainParameters.of(document["parameters"]),
            arrays=arrays,
            metrics=document["metrics"],
            state=document.get("state", {}),
        )
    except HyperparameterError as error:
        raise InputError(f"the checkpoint {folder} is of another version: {error}") from error
    except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"the checkpoint {folder} is damaged or cut short ({type(error).__name__}: {error});"
            " take another or train again"
        ) from error


def newest(folder: Path, *archives: str) -> Checkpoint | None:
    """Read the newest intact checkpoint of a folder of them; damaged ones are passed over with a warning.

    Returns:
        None where there is none at all.

    Raises:
        InputError: there are some, and none is intact.
    """
    found = steps(folder)
    for step in reversed(found):
        try:
            return read(folder / str(step), *archives)
        except InputError as error:
            logger.warning("%s; trying the one before", error)
    if found:
        raise InputError(f"no checkpoint in {folder} can be read; remove the folder to start over")
    return None


def require_fit(folder: Path, arrays: Arrays, weights: Mapping[str, Any]) -> None:
    """Refuse arrays that are not the weights of a network.

    Raises:
        InputError: a name or shape differs.
    """
    have = {name: tuple(values.shape) for name, values in arrays.items()}
    want = {name: tuple(variable.shape) for name, variable in weights.items()}
    if have != want:
        name = next(n for n in sorted({*have, *want}) if have.get(n) != want.get(n))
        raise InputError(
            f"the checkpoint {folder} does not fit its own hyperparameters: {name} is {have.get(name)},"
            f" the network wants {want.get(name)}; train again"
        )


def steps(folder: Path) -> list[int]:
    """List the steps of which a folder holds checkpoints, ascending."""
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdigit()) if folder.is_dir() else []


def prune(folder: Path, keep: int, pinned: int | None) -> None:
    """Remove all but the newest `keep` checkpoints and the pinned one."""
    for step in steps(folder)[:-keep]:
        if step != pinned:
            shutil.rmtree(folder / str(step))


def _load(path: Path) -> Arrays:
    with path.open("rb") as file:
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except Exception as error:  # zipfile, tokenize and NumPy raise anything on flipped bits: RuntimeError, ...
            raise ValueError(f"{path.name}: {type(error).__name__}: {error}") from error


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
