"""A loaded model that translates batches of pictures."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pix2pix.errors import HyperparameterError, InputError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.images.codec import Pixels
from pix2pix.inference.engines import ModelEngine, engine_of, load_engine, reads
from pix2pix.inference.manifest import require_unchanged
from pix2pix.inference.saved_model import FORMAT, OPTIONS, find_version, read_description

MAX_PIXELS = 2**24
"""Pixels of a batch at most; more would need tens of gigabytes of memory."""


class Translator:
    """An exported model, loaded.

    Attributes:
        options: the content of the model's ``assets.extra/pix2pix.json``.
        trained: the hyperparameters of its training.
        digest: SHA-256 of `options`, which include the digest of the checkpoint; hexadecimal.
        multiple: height and width are padded to multiples of it, pixels.
        engine: what runs the network.
    """

    def __init__(self, model: Path, engine: str = "auto", *, complete: bool = True) -> None:
        """Load a model's newest version.

        Args:
            model: folder with versions of a model, or one version.
            engine: ``auto``, ``onnxruntime`` or ``tensorflow``; see `pix2pix.inference.engines`.
            complete: whether a file of the model that the engine does not read may not be missing either.

        Raises:
            InputError: the model is missing, was not exported by `pix2pix export` or by another version, or was changed
                since.
            HyperparameterError: the engine is not installed, or cannot run the model.
        """
        folder = find_version(model)
        name = engine_of(folder, engine)
        # Before an engine reads any of it: a SavedModel is a program.
        require_unchanged(folder, None if complete else partial(reads, name))
        self.options: dict[str, Any] = read_description((folder / OPTIONS).read_bytes(), str(folder))
        self.trained: TrainParameters = _trained(folder, self.options)
        self.multiple = 2**self.trained.levels
        self.engine: ModelEngine = load_engine(folder, name, self.multiple, together=self.trained.norm == "batch")
        self.digest = hashlib.sha256(json.dumps(self.options, sort_keys=True).encode()).hexdigest()

    def __call__(self, pictures: Pixels) -> Pixels:
        """Translate a batch.

        Args:
            pictures: uint8 RGB ``[N, H, W, 3]``, at most `MAX_PIXELS` pixels in all.

        Returns:
            uint8 ``[N, H, W, 3]``, or ``[N, H, W, 1]`` for a model of one output channel.

        Raises:
            InputError: another type, rank or number of channels, no pixels, or too many.
        """
        _check_batch(pictures)
        return self.engine.translate(pictures)


def _trained(folder: Path, options: dict[str, Any]) -> TrainParameters:
    """Read the hyperparameters of a model's training; refuse a description that another version wrote."""
    remedy = "use the version of pix2pix that exported it, or export its checkpoint again with this one"
    if options.get("format") != FORMAT:
        raise InputError(
            f"the model {folder} has format {options.get('format')}, and this version reads {FORMAT}; {remedy}"
        )
    try:
        return TrainParameters.recorded(options["train"])
    except HyperparameterError as error:
        raise InputError(f"the model {folder} was trained by another version ({error}); {remedy}") from error


def _check_batch(pictures: Any) -> None:
    """Refuse what the graph cannot take."""
    # TensorFlow does not raise on a wrong rank but aborts the process by a failed CHECK (seen in 2.21).
    wanted = "pass a uint8 NumPy array [N, H, W, 3]"
    if not isinstance(pictures, np.ndarray):
        raise InputError(f"pictures of type {type(pictures).__name__} cannot be translated; {wanted}")
    shape = list(pictures.shape)
    if pictures.dtype != np.uint8:
        raise InputError(f"pictures of dtype {pictures.dtype} cannot be translated; {wanted} with values 0 to 255")
    if pictures.ndim != 4 or pictures.shape[-1] != 3:
        single = "; for one picture, pass picture[np.newaxis]" if pictures.ndim == 3 and shape[-1] == 3 else ""
        raise InputError(f"pictures of shape {shape} cannot be translated; {wanted}{single}")
    pixels = pictures.size // 3
    if not pixels:
        raise InputError(f"pictures of shape {shape} have no pixels; {wanted}")
    if pixels > MAX_PIXELS:
        raise InputError(
            f"pictures of shape {shape} have {pixels:,} pixels, more than the {MAX_PIXELS:,} that are translated at"
            " once; pass fewer or smaller ones"
        )
