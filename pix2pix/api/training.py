"""Training from a script or a notebook, and its outcome."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pix2pix.api.display import displayed
from pix2pix.api.model import Model, load
from pix2pix.errors import InputError
from pix2pix.hyperparameters import resolve
from pix2pix.images.rejections import Rejection
from pix2pix.pages.rendering import render
from pix2pix.progress import Progress
from pix2pix.stop_request import stop_on_signal
from pix2pix.tensorflow import configure_tensorflow

logger = logging.getLogger(__name__)

SAMPLES = Path("samples") / "grid.png"
"""In the folder of a training: input, last output and target of some pairs, held-out ones if there are any."""


@dataclass(frozen=True)
class Training:
    """A finished training.

    Attributes:
        folder: its folder, with ``checkpoint/``, ``samples/``, ``metrics.jsonl`` and ``report.html``.
        step: number of steps in all, those before a resumption included.
        metrics: of the resulting weights: held-out ``l1`` ([-1, 1]), ``psnr`` (dB) and ``ssim`` if pairs were held out,
            and the last mean losses.
        train_pairs: number of pairs learnt from.
        held_out_pairs: number of pairs measured on.
        seconds: spent in the training loop, earlier calls included.
        rejected: files that were left out, each with ``path``, ``code`` and ``reason``.
        notes: remarks, for example that no pair was held out.
    """

    folder: Path
    step: int
    metrics: dict[str, float]
    train_pairs: int
    held_out_pairs: int
    seconds: float
    rejected: tuple[Rejection, ...]
    notes: tuple[str, ...]

    @property
    def samples(self) -> Image.Image:
        """Input, last output and target of up to four pairs, side by side, as one RGB picture."""
        with Image.open(self.folder / SAMPLES) as picture:
            return picture.convert("RGB")

    @property
    def history(self) -> list[dict[str, Any]]:
        """The records of ``metrics.jsonl``: ``step``, and ``losses`` or ``held_out`` metrics at that step."""
        from pix2pix.training.metrics_log import read

        return read(self.folder / "metrics.jsonl")

    def export(self, path: str | os.PathLike[str], **hyperparameters: Any) -> Model:
        """Export the result as a SavedModel and load it.

        Args:
            path: the model's folder; ``<path>/<version>/`` is written.
            hyperparameters: of the section ``[export]``, e.g. ``weights="float16"``.

        Raises:
            InputError: the checkpoint is missing, or ``<path>/<version>`` was not written by an export.
            HyperparameterError: an unknown name, or a value out of range.
            WorkError: no space left.
        """
        return export(self.folder, path, **hyperparameters)

    def _repr_html_(self) -> str:
        """Describe the training in a notebook: metrics, notes and sample pictures."""
        file = self.folder / SAMPLES
        samples = file.read_bytes() if file.exists() else b""
        return render("pix2pix.api", "training.html", training=self, samples=samples)


def train(
    pairs: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    warm_start_from: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
    **hyperparameters: Any,
) -> Training:
    """Train a model on A|B pairs; the same call resumes an interrupted training.

    In a notebook, a bar and sample pictures show the progress. Interrupting the kernel (or Ctrl-C, or SIGTERM) saves
    the state and raises KeyboardInterrupt; a second interruption stops at once.

    Args:
        pairs: folder of A|B pairs, as `pix2pix.pairs` writes them (of single pictures for colorization).
        output: folder for checkpoint, samples, metrics and ``report.html``; created if missing.
        warm_start_from: the folder of an earlier training, or a checkpoint, whose weights this one begins with instead
            of those that its seed gives.
        progress: called as ``progress(done, total, note)`` after each step, instead of the notebook's bar.
        hyperparameters: of the section ``[train]``, e.g. ``size=128, max_steps=2000``; the others keep their defaults.
            ``minutes=10`` chooses size, filters and steps for a training of ten minutes on this machine.

    Raises:
        InputError: no usable pairs, a folder of another training or with other files, or an earlier training of other
            size, filters, channels or layers.
        HyperparameterError: an unknown name, or a value out of range.
        WorkError: no space left, or the losses are no longer finite.
        KeyboardInterrupt: the training was interrupted; its state is saved.
    """
    resolve("train", hyperparameters)
    source, folder = Path(pairs), Path(output)
    if not source.is_dir():
        raise InputError(f"{source} is not a folder; name a folder of A|B pairs, which pix2pix.pairs makes")
    with displayed("train", progress, folder / SAMPLES) as show, stop_on_signal() as stop:
        show(0, 0, "loading TensorFlow")
        configure_tensorflow()
        from pix2pix.budget.settling import settled
        from pix2pix.training.first_weights import EarlierModel
        from pix2pix.training.train import train as train_model

        parameters = settled(source, folder, hyperparameters)
        earlier = EarlierModel(Path(warm_start_from), str(warm_start_from)) if warm_start_from is not None else None
        result = train_model(source, folder, parameters, earlier=earlier, progress=show, stop=stop)
    if not result.finished:
        raise KeyboardInterrupt(f"stopped at step {result.step}, which is saved; the same call resumes the training")
    return Training(
        folder=folder,
        step=result.step,
        metrics=result.metrics,
        train_pairs=result.train_pairs,
        held_out_pairs=result.held_out_pairs,
        seconds=result.seconds,
        rejected=result.rejected,
        notes=result.notes,
    )


def export(training: str | os.PathLike[str], output: str | os.PathLike[str], **hyperparameters: Any) -> Model:
    """Export a checkpoint as a SavedModel and load it.

    Args:
        training: the folder of a training, or a checkpoint.
        output: the model's folder; ``<output>/<version>/`` is written.
        hyperparameters: of the section ``[export]``, e.g. ``weights="float16"``.

    Raises:
        InputError: the checkpoint is missing or damaged, or ``<output>/<version>`` was not written by an export.
        HyperparameterError: an unknown name, or a value out of range.
        WorkError: no space left.
    """
    parameters = resolve("export", hyperparameters)
    configure_tensorflow()
    from pix2pix.inference.export import export as export_model

    exported = export_model(Path(training), Path(output), parameters)
    for warning in exported.warnings:
        logger.warning("%s", warning)
    return load(exported.folder)
