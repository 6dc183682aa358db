"""Measures an exported model on pairs, through the signature that generation uses."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pix2pix.datasets.pair_notes import MAX_DISTORTION, distortion, warnings_about
from pix2pix.datasets.pairs import survey
from pix2pix.errors import InputError, PictureError
from pix2pix.hyperparameters import GenerateParameters, TrainParameters
from pix2pix.images.codec import Rejection, encode_png
from pix2pix.images.folders import check_apart, check_spared
from pix2pix.images.names import length_problem
from pix2pix.images.rejections import BAD_PATH
from pix2pix.images.thread_map import in_threads
from pix2pix.inference.scaled_pair import ScaledPair, read_scaled
from pix2pix.inference.translator import Translator
from pix2pix.model.metrics import NAMES, measure
from pix2pix.pages.gallery import write_page
from pix2pix.progress import Progress, silent

logger = logging.getLogger(__name__)


KINDS = ("input", "output", "target")
"""Folders of the pictures that the page shows."""


@dataclass(frozen=True)
class MeasuredPair:
    """The metrics of one pair.

    Attributes:
        path: of the pair, relative to its folder.
        metrics: ``l1``, ``psnr``, ``ssim`` (see `pix2pix.model.metrics`).
    """

    path: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The outcome of an evaluation.

    Attributes:
        mean: each metric's mean over the pairs.
        pictures: the pairs, worst L1 first.
        rejected: files that were left out.
        notes: warnings about the pairs, such as halves far from the model's aspect ratio.
    """

    mean: dict[str, float]
    pictures: tuple[MeasuredPair, ...]
    rejected: tuple[Rejection, ...]
    notes: tuple[str, ...]


def evaluate(
    model: Path,
    pairs: Path,
    output: Path,
    parameters: GenerateParameters | None = None,
    *,
    progress: Progress = silent,
) -> Evaluation:
    """Measure a model; write ``evaluation.json``, ``index.html`` and the pictures that it shows into `output`.

    Args:
        model: folder with versions of a model, or one version.
        pairs: folder of A|B pairs (of single pictures for colorization), of any size; they are scaled as in training.
        output: folder for the results; created if missing.
        parameters: batch size, workers and engine.
        progress: called after each batch.

    Raises:
        InputError: no usable pair, no model, or an `output` in which results would become pairs.
    """
    options = parameters or GenerateParameters()
    check_apart(pairs, output)
    listing = survey(pairs).required()
    names = listing.pictures
    check_spared(pairs, output, (f"{kind}/{name}.png" for name in names for kind in KINDS))
    translator = Translator(model, options.engine)
    rejected: list[Rejection] = []
    measured: list[MeasuredPair] = []
    far: dict[str, tuple[int, int]] = {}

    def read(name: str) -> ScaledPair | Rejection:
        return _read(pairs, name, translator.trained)

    for first in range(0, len(names), options.batch_size):
        results = in_threads(read, names[first : first + options.batch_size], options.workers)
        rejected += [result for result in results if isinstance(result, Rejection)]
        batch = [result for result in results if isinstance(result, ScaledPair)]
        measured += _measured(translator, batch, output)
        far |= {p.path: p.size for p in batch if distortion(p.size, translator.trained.shape) > MAX_DISTORTION}
        progress(min(first + options.batch_size, len(names)), len(names), "")
    if not measured:
        first_reason = f"the first: {rejected[0].path}: {rejected[0].reason} ({rejected[0].code})"
        raise InputError(f"none of the {len(names)} pictures in {pairs} is a usable pair; {first_reason}")
    worst_first = tuple(sorted(measured, key=lambda pair: (-pair.metrics["l1"], pair.path)))
    mean = {name: float(np.mean([pair.metrics[name] for pair in measured])) for name in NAMES}
    notes = warnings_about(far, len(measured), translator.trained)
    for note in notes:
        logger.warning("%s", note)
    evaluation = Evaluation(mean, worst_first, (*rejected, *listing.left_out), notes)
    _write(evaluation, output)
    return evaluation


_measure = tf.function(measure, reduce_retracing=True)


def _read(folder: Path, name: str, trained: TrainParameters) -> ScaledPair | Rejection:
    if too_long := length_problem(f"{name}.png"):
        return Rejection(name, BAD_PATH, f"its result {name}.png: {too_long}")
    try:
        return read_scaled(folder, name, trained)
    except PictureError as error:
        return Rejection(name, error.code, error.reason)


def _measured(translator: Translator, batch: Sequence[ScaledPair], folder: Path) -> Iterator[MeasuredPair]:
    """Translate and measure a batch, and write its pictures."""
    if not batch:
        return
    outputs = translator(np.stack([pair.input for pair in batch]))
    targets = np.stack([pair.target[..., : outputs.shape[-1]] for pair in batch])
    found = {name: values.numpy() for name, values in _measure(tf.constant(targets), tf.constant(outputs)).items()}
    for n, pair in enumerate(batch):
        for kind, picture in zip(KINDS, (pair.input, outputs[n], targets[n]), strict=True):
            encode_png(picture, folder / kind / f"{pair.path}.png")
        yield MeasuredPair(pair.path, {name: float(found[name][n]) for name in NAMES})


def _write(evaluation: Evaluation, output: Path) -> None:
    """Write the document and the page."""
    document = json.dumps(asdict(evaluation), indent=2) + "\n"
    # File names are bytes; those that are not UTF-8 keep their bytes.
    (output / "evaluation.json").write_text(document, encoding="utf-8", errors="surrogateescape")
    rows: list[list[str | Path]] = [
        [
            pair.path,
            *(Path(kind) / f"{pair.path}.png" for kind in KINDS),
            *(f"{pair.metrics[name]:.4f}" for name in NAMES),
        ]
        for pair in evaluation.pictures
    ]
    mean = ", ".join(f"{name.upper()} {value:.4f}" for name, value in evaluation.mean.items())
    heads = ["name", *KINDS, *(name.upper() for name in NAMES)]
    summary = f"{len(rows)} pairs, the worst first; mean {mean}"
    write_page(output / "index.html", "Evaluation", summary, heads, rows, evaluation.rejected)
