"""The hyperparameters of a training with a time budget, in a work folder that keeps them for the next attempt."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pix2pix.budget.calibration import THIS_MACHINE
from pix2pix.budget.choice import Machine, choose
from pix2pix.budget.outline import outline, sample
from pix2pix.errors import InputError
from pix2pix.files import write_atomically
from pix2pix.hyperparameters import TrainParameters, resolve
from pix2pix.hyperparameters.budget import open_names
from pix2pix.images.folders import survey
from pix2pix.training import checkpoints

logger = logging.getLogger(__name__)

RECORD = Path("state") / "budget.json"
"""In a work folder: what was given, a digest of the pairs' names and sizes, and what was chosen."""


def settled(
    pairs: Path,
    work: Path,
    given: Mapping[str, object],
    machine: Machine = THIS_MACHINE,
    clock: Callable[[], float] = time.monotonic,
) -> TrainParameters:
    """Return the hyperparameters of a training, with what a time budget chooses.

    A work folder keeps the choice: a training that is resumed does not measure again.

    Args:
        pairs: folder of the pairs.
        work: folder of the training's results and state.
        given: names and values that were set.
        machine: is measured.
        clock: returns seconds.

    Raises:
        InputError: no usable pairs, or the work folder holds a training with another budget.
        HyperparameterError: a value that is not allowed, or a budget that is too small.
    """
    parameters: TrainParameters = resolve("train", given)
    if not open_names(given, parameters.minutes):
        return parameters
    began = clock()
    names = survey(pairs).required().pictures
    request = {"given": dict(given), "pairs": _digest(pairs, names)}
    chosen = _kept(work, request)
    if chosen is None:
        chosen = choices_for(pairs, sample(names), len(names), given, machine, lambda: clock() - began)
        (work / RECORD).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(work / RECORD, json.dumps({**request, "chosen": chosen}, indent=2).encode())
    return parameters.settled(chosen)


def choices_for(
    pairs: Path,
    read: Sequence[str],
    number: int,
    given: Mapping[str, object],
    machine: Machine = THIS_MACHINE,
    elapsed: Callable[[], float] = lambda: 0.0,
) -> dict[str, Any]:
    """Read some pairs, measure this machine and choose; errors as for `settled`.

    Args:
        pairs: folder of the pairs.
        read: names of those that are read; see `pix2pix.budget.outline.sample`.
        number: of all pairs.
        given: names and values that were set.
        machine: is measured.
        elapsed: returns the seconds of the budget that are used up.
    """
    parameters: TrainParameters = resolve("train", given)
    chosen = choose(given, outline(pairs, read, number, parameters), machine, elapsed)
    values = ", ".join(f"{name} = {value}" for name, value in chosen.items())
    logger.info("minutes = %g: %s", parameters.minutes, values)
    return chosen


def _kept(work: Path, request: Mapping[str, object]) -> dict[str, Any] | None:
    """Return what an earlier attempt chose; None for a fresh start.

    Raises:
        InputError: the folder holds states of a training with another budget, or on other pairs.
    """
    try:
        document = json.loads((work / RECORD).read_bytes())
        same = {name: document[name] for name in request} == json.loads(json.dumps(request))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        document, same = {}, False
    if not same and checkpoints.steps(work / checkpoints.STATES):
        raise InputError(
            f"{work} holds a training with other hyperparameters or on other pairs, so that this time budget cannot"
            " continue it; give the same ones, or another output folder"
        )
    return dict(document["chosen"]) if same else None


def _digest(folder: Path, names: tuple[str, ...]) -> str:
    lines = "".join(f"{name}\0{(folder / name).stat().st_size}\n" for name in names)
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
