"""Comparison of two exported models on the same pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pix2pix.errors import InputError, PictureError
from pix2pix.images.codec import Pixels, encode_png
from pix2pix.inference.manifest import require_unchanged
from pix2pix.inference.saved_model import find_version
from pix2pix.inference.scaled_pair import ScaledPair, read_scaled, scale
from pix2pix.inference.translator import Translator
from pix2pix.model.metrics import NAMES, measure
from pix2pix.progress import Progress, silent

BATCH = 8
"""Pairs that are translated at once."""

MAX_SHOWN = 256
"""Longest side of a picture that is shown, pixels."""

KINDS = ("input", "in-use", "candidate", "target")
"""Pictures that are shown of a pair; ``in-use`` only if there is another model."""


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison.

    Attributes:
        candidate: metric -> mean of the candidate over the pairs (see `pix2pix.model.metrics`).
        in_use: the same of the other model; empty if there is none.
        pairs: paths of the pairs that were measured, in the given order; those that cannot be used are left out.
        shown: path of a pair -> kind of picture -> PNG file.
    """

    candidate: Mapping[str, float]
    in_use: Mapping[str, float]
    pairs: tuple[str, ...]
    shown: Mapping[str, Mapping[str, Path]]


def has_finite_weights(model: Path) -> bool:
    """Return whether every weight of an exported model is a finite number.

    Raises:
        InputError: the model is missing or damaged, or was changed.
    """
    folder = find_version(model)
    require_unchanged(folder)
    try:
        reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        dtypes = reader.get_variable_to_dtype_map()
        names = [name for name, dtype in dtypes.items() if dtype.is_floating]
        return all(np.isfinite(np.asarray(reader.get_tensor(name), np.float32)).all() for name in names)
    except Exception as error:  # TensorFlow raises anything on damaged files
        raise InputError(f"the model {folder} is damaged ({type(error).__name__}); export it again") from error


def difference(candidate: Translator, in_use: Translator) -> str:
    """Return why the outputs of two models cannot be compared; empty if they can.

    Another size or another number of input channels does not prevent it: each model is given its inputs as it was
    trained, and its outputs are compared at the candidate's size.
    """
    ours, theirs = candidate.trained, in_use.trained
    for what, mine, other in (
        ("lab_colorization", ours.lab_colorization, theirs.lab_colorization),
        ("direction", ours.direction, theirs.direction),
        ("out_channels", ours.output_channels, theirs.output_channels),
    ):
        if mine != other:
            return f"{what} {_shown(mine)} cannot be compared with {_shown(other)} of the model in use"
    return ""


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def compare_models(
    candidate: Translator,
    in_use: Translator | None,
    folder: Path,
    pairs: Sequence[str],
    target: Path,
    *,
    show: int = 0,
    progress: Progress = silent,
) -> Comparison:
    """Measure two models on the same pairs.

    Args:
        candidate: decides on the size at which outputs are compared.
        in_use: another model that `difference` finds comparable; None measures the candidate alone.
        folder: that holds the pairs.
        pairs: paths relative to it.
        target: folder for the pictures that are shown; created if needed.
        show: number of pairs of which pictures are written, at most `MAX_SHOWN` pixels wide and high.
        progress: called after each batch.
    """
    models = {"candidate": candidate} | ({"in-use": in_use} if in_use is not None else {})
    found: dict[str, list[dict[str, float]]] = {"candidate": [], "in-use": []}
    measured: list[str] = []
    shown: dict[str, Mapping[str, Path]] = {}
    for first in range(0, len(pairs), BATCH):
        batch = _read(folder, pairs[first : first + BATCH], models)
        outputs = _translated(models, batch)
        for name, values in outputs.items():
            found[name] += _measured([views["candidate"].target for views in batch], values)
        for number, views in enumerate(batch):
            pair = views["candidate"]
            measured.append(pair.path)
            if len(shown) < show:
                made = {name: values[number] for name, values in outputs.items()}
                shown[pair.path] = _written(
                    {"input": pair.input, "target": pair.target} | made, target / str(len(shown))
                )
        progress(min(first + BATCH, len(pairs)), len(pairs), "compared")
    return Comparison(_mean(found["candidate"]), _mean(found["in-use"]), tuple(measured), shown)


_measure = tf.function(measure, reduce_retracing=True)


def _read(folder: Path, paths: Sequence[str], models: Mapping[str, Translator]) -> list[dict[str, ScaledPair]]:
    """Read pairs as each model was trained to see them; a pair that cannot be used is left out."""
    batch = []
    for path in paths:
        try:
            batch.append({name: read_scaled(folder, path, model.trained) for name, model in models.items()})
        except PictureError:
            continue
    return batch


def _translated(models: Mapping[str, Translator], batch: Sequence[Mapping[str, ScaledPair]]) -> dict[str, list[Pixels]]:
    """Return each model's outputs, at the candidate's size."""
    if not batch:
        return {}
    outputs = {name: model(np.stack([views[name].input for views in batch])) for name, model in models.items()}
    shape = models["candidate"].trained.shape
    return {name: [scale(picture, shape) for picture in pictures] for name, pictures in outputs.items()}


def _measured(targets: Sequence[Pixels], outputs: Sequence[Pixels]) -> list[dict[str, float]]:
    """Return the metrics of each output."""
    found = {
        name: v.numpy() for name, v in _measure(tf.constant(np.stack(targets)), tf.constant(np.stack(outputs))).items()
    }
    return [{name: float(found[name][number]) for name in NAMES} for number in range(len(outputs))]


def _mean(metrics: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([values[name] for values in metrics])) for name in NAMES} if metrics else {}


def _written(pictures: Mapping[str, Pixels], folder: Path) -> dict[str, Path]:
    """Write the pictures of a pair, scaled down to `MAX_SHOWN`; return kind -> file."""
    files = {}
    for kind in KINDS:
        if kind in pictures:
            height, width = pictures[kind].shape[:2]
            factor = min(1.0, MAX_SHOWN / max(height, width))
            files[kind] = folder / f"{kind}.png"
            encode_png(
                scale(pictures[kind], (max(1, round(height * factor)), max(1, round(width * factor)))), files[kind]
            )
    return files
