"""Turns a checkpoint into a SavedModel that TensorFlow Serving, plain TensorFlow and `pix2pix generate` can use.

It exists so that a model is a folder by itself: it needs neither this code nor its hyperparameters to be told. Three
signatures:

    serving_default   image_bytes: PNG, JPEG, BMP or GIF of any size -> image_bytes: PNG or JPEG of the training size
    image             image: uint8 [N, H, W, 3] -> image: uint8 [N, H, W, 3 or 1], H and W any
    base64            image: web-safe base64 of such bytes -> image: likewise

No picture influences another of its batch, except by `norm` "batch"; how many there are can change the order of sums,
and with it a value by one level. Variables come out byte for byte the same for the same checkpoint;
``saved_model.pb`` does in a fresh process; ``fingerprint.pb`` holds a random number of TensorFlow's.
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

from pix2pix.errors import InputError
from pix2pix.hyperparameters import ExportParameters, TrainParameters
from pix2pix.model.colour import to_levels
from pix2pix.model.networks import Generator, assign
from pix2pix.model.translation import pad_to_multiple, translate
from pix2pix.tensorflow import Tensor, tf
from pix2pix.training import checkpoints

OPTIONS = Path("assets.extra") / "pix2pix.json"
"""Inside a version's folder: what the model is; TensorFlow Serving leaves ``assets.extra`` alone."""
TFLITE = Path("assets.extra") / "model.tflite"
QUALITY = 95
"""Of JPEG results."""


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes:
        folder: the version's folder.
        step: of the checkpoint.
        digest: SHA-256 of its ``generator.npz``, hexadecimal.
        metrics: of the checkpoint.
        size: bytes of all files.
    """

    folder: Path
    step: int
    digest: str
    metrics: dict[str, float]
    size: int


class Model(tf.Module):
    """A generator with the signatures of a model to serve."""

    def __init__(self, generator: Generator, parameters: TrainParameters, options: ExportParameters) -> None:
        super().__init__()
        self.generator = generator
        height, width = parameters.shape
        text = tf.TensorSpec([None], tf.string)

        # The network stands in the model once, for all three: what is loaded is read node by node.
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def network(pictures: Tensor) -> Tensor:
            # One mask for every picture: a result must not depend on its neighbours, nor change from call to call.
            seeds = tf.constant([[parameters.seed, 0]]) if options.dropout else None
            return translate(generator, parameters, pictures, seeds)

        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8, name="image")])
        def image(image: Tensor) -> dict[str, Tensor]:
            size = tf.shape(image)
            output = network(pad_to_multiple(image, 2**parameters.levels))
            return {"image": output[:, : size[1], : size[2]]}

        def from_bytes(encoded: Tensor) -> Tensor:
            def decode(one: Tensor) -> Tensor:
                picture = tf.io.decode_image(one, channels=3, expand_animations=False)
                picture.set_shape([None, None, 3])
                return to_levels(tf.image.resize(picture, [height, width], "bicubic", antialias=True))

            def encode(picture: Tensor) -> Tensor:
                if options.filetype == "png":
                    return tf.io.encode_png(picture)
                return tf.io.encode_jpeg(picture, quality=QUALITY)

            pictures = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec([height, width, 3], tf.uint8))
            return tf.map_fn(encode, network(pictures), fn_output_signature=tf.string)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serving_default(image_bytes: Tensor) -> dict[str, Tensor]:
            return {"image_bytes": from_bytes(image_bytes)}

        @tf.function(input_signature=[tf.TensorSpec(text.shape, text.dtype, name="image")])
        def base64(image: Tensor) -> dict[str, Tensor]:
            return {"image": tf.io.encode_base64(from_bytes(tf.io.decode_base64(image)))}

        self.endpoints = {"serving_default": serving_default, "image": image, "base64": base64}


def export(checkpoint: Path, target: Path, parameters: ExportParameters | None = None) -> Exported:
    """Write ``target/<version>/``; a version of that number that an export made is replaced.

    Args:
        checkpoint: folder with ``checkpoint.json`` and ``generator.npz``, or the work folder of a training.
        target: the model's folder.
        parameters: see `pix2pix.hyperparameters`.

    Raises:
        InputError: no checkpoint, or one cut short; what stands at ``target/<version>`` is not of an export.
        WorkError: no space left.
    """
    options = parameters or ExportParameters()
    folder, partial = target / str(options.version), target / f".{options.version}.part"
    checkpoint = _find_checkpoint(checkpoint)
    _check_replaceable(folder, checkpoint)
    loaded = checkpoints.read(checkpoint, "generator")
    train, weights = loaded.parameters, loaded.arrays["generator"]
    digest = hashlib.sha256((checkpoint / "generator.npz").read_bytes()).hexdigest()
    document = {
        "format": 1,
        "step": loaded.step,
        "checkpoint_sha256": digest,
        "metrics": loaded.metrics,
        "train": dataclasses.asdict(train),
        "export": dataclasses.asdict(options),
    }
    generator = Generator(train, 0, matrix=True)
    checkpoints.require_fit(checkpoint, weights, generator.weights)
    assign(generator, weights)
    with checkpoints.full_disk_told(f"the model {folder}"), contextlib.ExitStack() as undo:
        undo.callback(shutil.rmtree, partial, ignore_errors=True)
        shutil.rmtree(partial, ignore_errors=True)
        (partial / OPTIONS).parent.mkdir(parents=True)
        (partial / OPTIONS).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        if options.tflite != "none":
            (partial / TFLITE).write_bytes(_lite(train, weights, options.tflite))
        generator.to_serve(tf.float16 if options.weights == "float16" else tf.float32)
        model = Model(generator, train, options)
        _save(model, partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return Exported(folder, loaded.step, digest, loaded.metrics, size)


def _find_checkpoint(folder: Path) -> Path:
    """The checkpoint that a folder is, or that the training in it came to."""
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
    """Refuse to replace what no export made, and the checkpoint itself."""
    remedy = "name another folder for the model, or another version (-p version=N)"
    if Path(os.path.realpath(checkpoint)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"the model {folder} would replace the checkpoint {checkpoint}; {remedy}")
    if os.path.lexists(folder) and (folder.is_symlink() or not (folder / OPTIONS).is_file()):
        raise InputError(f"{folder} is there already and was not made by `pix2pix export`; {remedy}")


def _save(model: Model, folder: Path) -> None:
    try:
        tf.saved_model.save(model, str(folder), signatures=model.endpoints)
    except (tf.errors.ResourceExhaustedError, tf.errors.UnavailableError, tf.errors.UnknownError) as error:
        # TensorFlow's own file system says it in words alone.
        if any(os.strerror(number) in str(error) for number in checkpoints.NO_SPACE):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def _lite(train: TrainParameters, weights: checkpoints.Arrays, kind: str) -> bytes:
    """Convert for TensorFlow Lite: one picture of the training size, uint8 ``[1, H, W, 3]``, without dropout."""
    generator = Generator(train, 0)
    assign(generator, weights)

    @tf.function(input_signature=[tf.TensorSpec([1, *train.shape, 3], tf.uint8, name="image")])
    def image(image: Tensor) -> dict[str, Tensor]:
        return {"image": translate(generator, train, image)}

    module = tf.Module()
    module.generator, module.image = generator, image
    converter = tf.lite.TFLiteConverter.from_concrete_functions([image.get_concrete_function()], module)
    if kind != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if kind == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def find_version(model: Path) -> Path:
    """Find the newest version in a model's folder; a version's own folder is taken as it is.

    Raises:
        InputError: no model there, or none of ours.
    """
    versions = sorted((int(p.name), p) for p in model.iterdir() if p.name.isdigit()) if model.is_dir() else []
    folder = model if (model / "saved_model.pb").exists() or not versions else versions[-1][1]
    if not (folder / "saved_model.pb").exists():
        raise InputError(f"{model} holds no model; name the folder that `pix2pix export` wrote")
    if not (folder / OPTIONS).exists():
        raise InputError(
            f"the model {folder} was not made by `pix2pix export`: it has no {OPTIONS.as_posix()}; export one"
        )
    return folder
