"""Measures an exported model on pairs: each picture, and all together.

It exists so that a model is judged by the same three figures as in training, as it will be used: through its signature,
from 8-bit pictures to 8-bit pictures.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pix2pix.datasets.pairs import read_pair, survey
from pix2pix.errors import InputError, PictureError
from pix2pix.hyperparameters import GenerateParameters, TrainParameters
from pix2pix.images.codec import Pixels, Rejection, decode, encode_png
from pix2pix.images.folders import check_apart, check_spared
from pix2pix.images.names import length_problem
from pix2pix.images.rejections import BAD_PATH, TOO_SMALL
from pix2pix.images.thread_map import in_threads
from pix2pix.inference.generate import Translator
from pix2pix.model.metrics import NAMES, SMALLEST, measure
from pix2pix.pages.gallery import write_page
from pix2pix.progress import Progress, silent
from pix2pix.tensorflow import tf

KINDS = ("input", "output", "target")
"""Folders of the pictures that the page shows."""


@dataclass(frozen=True)
class Measured:
    """One pair.

    Attributes:
        path: of the pair, relative to its folder.
        metrics: ``l1``, ``psnr``, ``ssim`` (see `pix2pix.model.metrics`).
    """

    path: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All pairs.

    Attributes:
        mean: of each figure over the pairs.
        pictures: the pairs, worst L1 first.
        rejected: files that were left out.
    """

    mean: dict[str, float]
    pictures: tuple[Measured, ...]
    rejected: tuple[Rejection, ...]


def evaluate(
    model: Path,
    pairs: Path,
    output: Path,
    parameters: GenerateParameters | None = None,
    *,
    progress: Progress = silent,
) -> Evaluation:
    """Measure; writes ``evaluation.json``, ``index.html`` and the pictures that it shows into `output`.

    Args:
        model: folder with versions of a model, or one version.
        pairs: folder of A|B pairs (of single pictures for colorization), of any size; they are scaled as in training.
        output: folder, made if it is missing.
        parameters: for the batch size and the workers.
        progress: told after each batch.

    Raises:
        InputError: no pairs that can be used, no model of ours, or an `output` in which results would become pairs.
    """
    options = parameters or GenerateParameters()
    check_apart(pairs, output)
    listing = survey(pairs).required()
    names = listing.pictures
    check_spared(pairs, output, (f"{kind}/{name}.png" for name in names for kind in KINDS))
    translator = Translator(model)
    train = translator.trained
    rejected: list[Rejection] = []
    measured: list[Measured] = []

    def read(name: str) -> tuple[str, Pixels, Pixels] | Rejection:
        if too_long := length_problem(f"{name}.png"):
            return Rejection(name, BAD_PATH, f"its result {name}.png: {too_long}")
        try:
            return (name, *_input_and_target(pairs / name, train))
        except PictureError as error:
            return Rejection(name, error.code, error.reason)

    for first in range(0, len(names), options.batch_size):
        ready = []
        for result in in_threads(read, names[first : first + options.batch_size], options.workers):
            if isinstance(result, Rejection):
                rejected.append(result)
            else:
                ready.append(result)
        if ready:
            outputs = translator(np.stack([a for _, a, _ in ready]))
            targets = np.stack([b[..., : outputs.shape[-1]] for _, _, b in ready])
            found = _measure(tf.constant(targets), tf.constant(outputs))
            figures = {name: values.numpy() for name, values in found.items()}
            for n, (name, a, _) in enumerate(ready):
                measured.append(Measured(name, {key: float(figures[key][n]) for key in NAMES}))
                for kind, picture in zip(KINDS, (a, outputs[n], targets[n]), strict=True):
                    encode_png(picture, output / kind / f"{name}.png")
        progress(min(first + options.batch_size, len(names)), len(names), "")
    if not measured:
        why = f"the first: {rejected[0].path}: {rejected[0].reason} ({rejected[0].code})"
        raise InputError(f"none of the {len(names)} pictures in {pairs} is a usable pair; {why}")
    worst_first = tuple(sorted(measured, key=lambda one: (-one.metrics["l1"], one.path)))
    mean = {name: float(np.mean([one.metrics[name] for one in measured])) for name in NAMES}
    evaluation = Evaluation(mean, worst_first, (*rejected, *listing.left_out))
    _write(evaluation, output)
    return evaluation


_measure = tf.function(measure, reduce_retracing=True)


def _input_and_target(path: Path, train: TrainParameters) -> tuple[Pixels, Pixels]:
    if train.lab_colorization:
        picture = _scale(decode(path), train, Image.Resampling.BICUBIC)
        return picture, picture
    a, b = read_pair(path)
    if min(a.shape[:2]) < SMALLEST:
        raise PictureError(TOO_SMALL, f"{a.shape[1]}x{a.shape[0]}, and SSIM needs {SMALLEST} pixels each way")
    nearest = Image.Resampling.NEAREST if train.labels else Image.Resampling.BICUBIC
    x, y = _scale(a, train, nearest), _scale(b, train, Image.Resampling.BICUBIC)
    if train.direction == "BtoA":
        x, y = y, x
    return x, _gray(y) if train.output_channels == 1 else y


def _scale(pixels: Pixels, train: TrainParameters, way: Image.Resampling) -> Pixels:
    height, width = train.shape
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), way))


def _gray(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]


def _write(evaluation: Evaluation, output: Path) -> None:
    document = json.dumps(asdict(evaluation), indent=2) + "\n"
    (output / "evaluation.json").write_text(document, encoding="utf-8", errors="surrogateescape")
    rows: list[list[str | Path]] = [
        [
            one.path,
            *(Path(kind) / f"{one.path}.png" for kind in KINDS),
            *(f"{one.metrics[name]:.4f}" for name in NAMES),
        ]
        for one in evaluation.pictures
    ]
    mean = ", ".join(f"{name.upper()} {value:.4f}" for name, value in evaluation.mean.items())
    heads = ["name", *KINDS, *(name.upper() for name in NAMES)]
    summary = f"{len(rows)} pairs, the worst first; mean {mean}"
    write_page(output / "index.html", "Evaluation", summary, heads, rows, evaluation.rejected)
