"""Exports a checkpoint as a SavedModel that TensorFlow Serving, plain TensorFlow and `pix2pix generate` load.

A model needs neither this code nor its hyperparameters to run. The variables are byte for byte the same for the same
checkpoint, and so is ``saved_model.pb`` if written by a fresh process; ``fingerprint.pb`` holds a random number by
TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from pix2pix.errors import HyperparameterError, InputError
from pix2pix.files import NO_SPACE, reporting_full_disk
from pix2pix.hyperparameters import ExportParameters, TrainParameters
from pix2pix.inference.manifest import write_manifest
from pix2pix.inference.saved_model import FORMAT, ONNX, OPTIONS, TFLITE
from pix2pix.inference.served_model import ServedModel
from pix2pix.model.networks import Generator, assign
from pix2pix.model.translation import translate
from pix2pix.progress import Progress, silent
from pix2pix.tensorflow import Tensor
from pix2pix.training import checkpoints

STEPS = 4
"""Steps of an export: reading, building, converting, saving."""
CHECKED = 100
"""Pictures on which the ONNX model is compared with the network."""


@dataclass(frozen=True)
class Exported:
    """The outcome of an export.

    Attributes:
        folder: the version's folder.
        step: of the checkpoint.
        digest: SHA-256 of the checkpoint's ``generator.npz``, hexadecimal.
        metrics: of the checkpoint.
        size: of all files together, bytes.
        warnings: why an ONNX model was left out.
    """

    folder: Path
    step: int
    digest: str
    metrics: dict[str, float]
    size: int
    warnings: tuple[str, ...] = ()


def export(
    checkpoint: Path, target: Path, parameters: ExportParameters | None = None, *, progress: Progress = silent
) -> Exported:
    """Write ``target/<version>/``, replacing a version of this number that an export wrote.

    Args:
        checkpoint: folder with ``checkpoint.json`` and ``generator.npz``, or the work folder of a training.
        target: the model's folder.
        parameters: see `pix2pix.hyperparameters`.
        progress: called before each of the four steps but the first, and at the end.

    Raises:
        InputError: the checkpoint is missing or damaged, or ``target/<version>`` was not written by an export.
        HyperparameterError: `onnx` is true, and no ONNX model that computes the same can be written.
        WorkError: no space left.
    """
    options = parameters or ExportParameters()
    folder, partial = target / str(options.version), target / f".{options.version}.part"
    checkpoint = _find_checkpoint(checkpoint)
    _check_replaceable(folder, checkpoint)
    loaded = checkpoints.read(checkpoint, "generator")
    digest = hashlib.sha256((checkpoint / "generator.npz").read_bytes()).hexdigest()
    progress(1, STEPS, "building the network")
    generator = Generator(loaded.parameters, 0, matrix=True)
    checkpoints.require_fit(checkpoint, loaded.arrays["generator"], generator.weights)
    assign(generator, loaded.arrays["generator"])
    with reporting_full_disk(f"the model {folder}"), contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, partial, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)
        (partial / OPTIONS).parent.mkdir(parents=True)
        (partial / OPTIONS).write_text(_describe(loaded, digest, options), encoding="utf-8")
        if options.tflite != "none":
            progress(2, STEPS, "converting to TensorFlow Lite")
            (partial / TFLITE).write_bytes(
                _convert_to_lite(loaded.parameters, loaded.arrays["generator"], options.tflite)
            )
        generator.to_serve(tf.float16 if options.weights == "float16" else tf.float32)
        served = ServedModel(generator, loaded.parameters, options)
        warnings: tuple[str, ...] = ()
        if options.onnx is True or (options.onnx == "auto" and not options.dropout):
            progress(2, STEPS, "writing the ONNX model")
            warnings = _write_onnx(partial / ONNX, served, loaded, options)
        progress(3, STEPS, "saving the model")
        _save(served, partial)
        write_manifest(partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    progress(STEPS, STEPS, "")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(folder, loaded.step, digest, loaded.metrics, size, warnings)


def _describe(checkpoint: checkpoints.Checkpoint, digest: str, options: ExportParameters) -> str:
    """Return the description of a model, JSON."""
    document = {
        "format": FORMAT,
        "step": checkpoint.step,
        "checkpoint_sha256": digest,
        "metrics": checkpoint.metrics,
        "train": dataclasses.asdict(checkpoint.parameters),
        "export": dataclasses.asdict(options),
        **({"inputs": checkpoint.inputs} if checkpoint.inputs else {}),
    }
    return json.dumps(document, indent=2) + "\n"


def _find_checkpoint(folder: Path) -> Path:
    """Return the folder if it is a checkpoint, or the resulting checkpoint if it is the work folder of a training."""
    result, states = folder / checkpoints.RESULT, folder / checkpoints.STATES
    if (folder / checkpoints.DOCUMENT).exists():
        return folder
    if result.is_dir():
        return result
    if saved := checkpoints.steps(states):
        raise InputError(
            f"the training in {folder} has not finished; run it again until it has, or name its last state,"
            f" {states / str(saved[-1])}"
        )
    return folder


def _check_replaceable(folder: Path, checkpoint: Path) -> None:
    """Refuse to replace the checkpoint itself, and anything that no export wrote."""
    remedy = "name another folder for the model, or another version (-p version=N)"
    if Path(os.path.realpath(checkpoint)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"the model {folder} would replace the checkpoint {checkpoint}; {remedy}")
    if os.path.lexists(folder) and (folder.is_symlink() or not (folder / OPTIONS).is_file()):
        raise InputError(f"{folder} exists and was not made by `pix2pix export`; {remedy}")


def _save(model: ServedModel, folder: Path) -> None:
    try:
        tf.saved_model.save(model, str(folder), signatures=model.endpoints)
    except (tf.errors.ResourceExhaustedError, tf.errors.UnavailableError, tf.errors.UnknownError) as error:
        # TensorFlow's own file system raises no OSError; the system's message is all that remains of the cause.
        if any(os.strerror(number) in str(error) for number in NO_SPACE):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def _write_onnx(
    path: Path, served: ServedModel, checkpoint: checkpoints.Checkpoint, options: ExportParameters
) -> tuple[str, ...]:
    """Write the ONNX model, unless it computes anything else than the SavedModel; return a warning if it does."""
    problem = _write_equal_onnx(path, served, checkpoint, half=options.weights == "float16")
    if problem and options.onnx is True:
        raise HyperparameterError(f"onnx = true: {problem}; set onnx = false")
    return (f"{problem}, so the ONNX model is left out and TensorFlow will run this one",) if problem else ()


def _write_equal_onnx(path: Path, served: ServedModel, checkpoint: checkpoints.Checkpoint, half: bool) -> str:
    """Write the ONNX model if its outputs are within one level of the SavedModel's; return why it was not written."""
    try:
        from pix2pix.inference.onnx_model import MOST_BYTES, largest_difference, onnx_model
    except ImportError as error:
        return f"the packages onnx and onnxruntime cannot be imported ({error})"
    parameters, weights = checkpoint.parameters, checkpoint.arrays["generator"]
    size = sum(array.nbytes for array in weights.values())
    if size > MOST_BYTES:
        return f"the weights take {size:,} bytes, more than the {MOST_BYTES:,} that an ONNX file holds"
    content = onnx_model(parameters, weights, half)
    pictures = np.random.default_rng(0).integers(0, 256, (CHECKED, *parameters.shape, 3)).astype(np.uint8)
    # Smooth in part, as photographs are, since noise alone drives every layer to its extremes.
    pictures[::2] = np.sort(pictures[::2], axis=1)
    translate = served.endpoints["image"].get_concrete_function()
    expected = np.concatenate([translate(tf.constant(picture[np.newaxis]))["image"].numpy() for picture in pictures])
    difference = largest_difference(content, pictures, expected)
    if difference > 1:
        return f"ONNX Runtime's pictures differ from the SavedModel's by {difference} of 255 levels, more than 1"
    path.write_bytes(content)
    return ""


def _convert_to_lite(parameters: TrainParameters, weights: checkpoints.Arrays, kind: str) -> bytes:
    """Convert to TensorFlow Lite: one picture of the training size, uint8 ``[1, H, W, 3]``, without dropout."""
    generator = Generator(parameters, 0)
    assign(generator, weights)

    @tf.function(input_signature=[tf.TensorSpec([1, *parameters.shape, 3], tf.uint8, name="image")])
    def image(image: Tensor) -> dict[str, Tensor]:
        return {"image": translate(generator, parameters, image)}

    module = tf.Module()
    module.generator, module.image = generator, image  # keeps the variables alive during the conversion
    converter = tf.lite.TFLiteConverter.from_concrete_functions([image.get_concrete_function()], module)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())
