"""Work on whole folders: pairs, splits, resized pictures, generated pictures, measurements."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pix2pix.api.display import displayed
from pix2pix.api.model import Model
from pix2pix.datasets.batch_convert import Converted
from pix2pix.datasets.operations import Operation, operate
from pix2pix.datasets.resize import resize_folder
from pix2pix.datasets.split import Shares, Split, split_folder
from pix2pix.hyperparameters import resolve
from pix2pix.progress import Progress
from pix2pix.tensorflow import configure_tensorflow

if TYPE_CHECKING:
    from pix2pix.inference.evaluate import Evaluation
    from pix2pix.inference.generate import Generated

logger = logging.getLogger(__name__)


def pairs(
    input: str | os.PathLike[str],  # noqa: A002
    output: str | os.PathLike[str],
    operation: str = "edges",
    *,
    target: str | os.PathLike[str] | None = None,
    size: int | None = 256,
    fit: str = "crop",
    only_input: bool = False,
    labels: bool = False,
    target_labels: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Converted:
    """Make A|B pairs from a folder of pictures: A, the left half, is the model's input, B its target.

    Args:
        input: folder with pictures, however deep.
        output: folder for the pairs, ``.png`` under the same paths; created if missing.
        operation: how A is made: ``edges``, ``grayscale`` or ``blank`` draw it from B, the picture; ``combine`` takes
            A from `input` and B from `target`; ``resize`` makes no pairs but resized pictures.
        target: for ``combine``, the folder with B under the same paths; suffixes may differ.
        size: height, and width of each half, pixels, 8 to 4096; None, for ``combine`` only, keeps the pictures' own.
        fit: ``crop`` (the centre square) or ``pad`` (the whole picture).
        only_input: whether A is written alone, for pictures to translate.
        labels: whether A is a label map, which is scaled by nearest neighbour.
        target_labels: whether B is one, for ``combine``.
        workers: threads; None means one per core.
        progress: called as ``progress(done, total, note)``, instead of the notebook's bar.

    Raises:
        InputError: a folder is missing or has no pictures, or an argument is not allowed.
    """
    settings = Operation(operation, size, fit, only_input, labels, target_labels)
    partners = None if target is None else Path(target)
    with displayed("pairs", progress) as show:
        return operate(settings, Path(input), Path(output), partners=partners, workers=workers, progress=show)


def split(
    input: str | os.PathLike[str],  # noqa: A002
    output: str | os.PathLike[str],
    train: float = 0.8,
    val: float = 0.1,
    test: float | None = None,
    *,
    link: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Split:
    """Split pictures by their content into ``train/``, ``val/`` and ``test/``; additions move no picture.

    Args:
        input: folder with pictures, however deep.
        output: folder for the result; created if missing.
        train: share to train on, 0 to 1.
        val: share to choose a model by.
        test: share to measure the model on; None means the rest.
        link: whether to make hard links instead of copies.
        workers: threads; None means one per core.
        progress: called as ``progress(done, total, note)``, instead of the notebook's bar.

    Raises:
        InputError: `input` is missing or has no pictures, or the shares do not add up to 1.
    """
    with displayed("split", progress) as show:
        shares = Shares(train, val, test)
        return split_folder(Path(input), Path(output), shares, link=link, workers=workers, progress=show)


def resize(
    input: str | os.PathLike[str],  # noqa: A002
    output: str | os.PathLike[str],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    **hyperparameters: Any,
) -> Converted:
    """Convert pictures of any format and size to square PNG files under the same paths.

    Args:
        input: folder with pictures, however deep.
        output: folder for the results; created if missing.
        workers: threads; None means one per core.
        progress: called as ``progress(done, total, note)``, instead of the notebook's bar.
        hyperparameters: of the section ``[resize]``, e.g. ``size=128, fit="pad"``.

    Raises:
        InputError: `input` is missing or has no pictures.
        HyperparameterError: an unknown name, or a value out of range.
    """
    parameters = resolve("resize", hyperparameters)
    with displayed("resize", progress) as show:
        return resize_folder(Path(input), Path(output), parameters, workers=workers, progress=show)


def generate(
    model: Model | str | os.PathLike[str],
    input: str | os.PathLike[str],  # noqa: A002
    output: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    **hyperparameters: Any,
) -> Generated:
    """Translate a folder of pictures; those that the same model has translated already are kept.

    Pictures of another size or kind than the model's inputs are translated all the same; a warning is logged.

    Args:
        model: a loaded model, or its folder.
        input: folder of pictures, of any kind that `resize` takes.
        output: folder for the results and their page ``index.html``; created if missing.
        progress: called as ``progress(done, total, note)``, instead of the notebook's bar.
        hyperparameters: of the section ``[generate]``, e.g. ``batch_size=16``.

    Raises:
        InputError: no pictures, no model, or an output folder in which results would become inputs.
        HyperparameterError: an unknown name, or a value out of range.
        WorkError: no space left; what was written stays and is not made again.
    """
    parameters = resolve("generate", hyperparameters)
    with displayed("generate", progress) as show:
        configure_tensorflow()
        from pix2pix.inference.generate import generate as generate_pictures

        result = generate_pictures(_folder(model), Path(input), Path(output), parameters, progress=show)
    for warning in result.warnings:
        logger.warning("%s", warning)
    return result


def evaluate(
    model: Model | str | os.PathLike[str],
    pairs: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
    **hyperparameters: Any,
) -> Evaluation:
    """Measure a model on A|B pairs: L1, PSNR and SSIM of each pair, and a page with the pictures, the worst first.

    Args:
        model: a loaded model, or its folder.
        pairs: folder of A|B pairs that it was not trained on.
        output: folder for ``evaluation.json``, ``index.html`` and the pictures; created if missing.
        progress: called as ``progress(done, total, note)``, instead of the notebook's bar.
        hyperparameters: ``batch_size`` and ``workers``.

    Raises:
        InputError: no usable pair, no model, or an output folder in which results would become pairs.
        HyperparameterError: an unknown name, or a value out of range.
    """
    parameters = resolve("generate", hyperparameters)
    with displayed("evaluate", progress) as show:
        show(0, 0, "loading TensorFlow")
        configure_tensorflow()
        from pix2pix.inference.evaluate import evaluate as evaluate_model

        return evaluate_model(_folder(model), Path(pairs), Path(output), parameters, progress=show)


def _folder(model: Model | str | os.PathLike[str]) -> Path:
    return model.folder if isinstance(model, Model) else Path(model)
