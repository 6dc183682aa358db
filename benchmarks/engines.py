"""Which engine generates the fastest: the SavedModel in TensorFlow, ONNX Runtime, or TensorFlow Lite.

Run ``python -m benchmarks.engines [--rounds 3]``. Each engine loads the same model, exported once, in a process of its
own, at 64 pixels with 16 filters and at 256 pixels with 64. It prints the median of the rounds: seconds of the import
and of the loading with the first picture, milliseconds for a batch of 1 and of 8, and the levels of 255 by which any
value differs from the SavedModel's at most.

TensorFlow Lite takes one picture at a time, and is measured from within TensorFlow, whose import a separate
`ai-edge-litert` does not need.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pix2pix.images.codec import Pixels

SIZES = ((64, 16), (256, 64))
"""Pixels and filters of the models."""

REPETITIONS = 12
"""Times that a batch is measured in a round."""

Engine = Callable[[Pixels], Pixels]


def saved_model(version: Path) -> Engine:
    """Load the SavedModel."""
    from pix2pix.inference.translator import Translator

    return Translator(version.parent, "tensorflow")


def onnx_runtime(version: Path) -> Engine:
    """Load the ONNX model."""
    from pix2pix.inference.translator import Translator

    return Translator(version.parent, "onnxruntime")


def onnx_runtime_by_default(version: Path) -> Engine:
    """Load the ONNX model with ONNX Runtime's own settings: all cores compute a batch together."""
    import onnxruntime

    from pix2pix.inference.saved_model import ONNX

    session = onnxruntime.InferenceSession(str(version / ONNX), providers=["CPUExecutionProvider"])
    return lambda pictures: np.asarray(session.run(None, {"image": pictures})[0])


def lite(version: Path) -> Engine:
    """Load the TensorFlow Lite model, with as many threads as there are cores."""
    import tensorflow as tf

    from pix2pix.inference.saved_model import TFLITE

    content = (version / TFLITE).read_bytes()
    interpreter = tf.lite.Interpreter(model_content=content, num_threads=len(os.sched_getaffinity(0)))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(pictures: Pixels) -> Pixels:
        translated = []
        for number in range(len(pictures)):
            interpreter.set_tensor(source["index"], pictures[number : number + 1])
            interpreter.invoke()
            translated.append(interpreter.get_tensor(target["index"]))
        return np.concatenate(translated)

    return run


ENGINES: dict[str, tuple[str, Callable[[Path], Engine]]] = {
    "SavedModel": ("tensorflow", saved_model),
    "ONNX Runtime": ("onnxruntime", onnx_runtime),
    "ONNX Runtime, all cores together": ("onnxruntime", onnx_runtime_by_default),
    "TensorFlow Lite": ("tensorflow", lite),
}
"""Name -> the library that it imports, and what loads a model's version."""


def export_model(folder: Path, size: int, filters: int) -> None:
    """Write a model with the weights that a training begins with, in all three forms."""
    from pix2pix.hyperparameters import ExportParameters, resolve
    from pix2pix.inference.export import export
    from pix2pix.model.networks import Generator
    from pix2pix.training import checkpoints

    parameters = resolve("train", {"size": size, "ngf": filters})
    weights = {name: value.numpy() for name, value in Generator(parameters, 1).weights.items()}
    checkpoints.write(folder / "checkpoint", checkpoints.Checkpoint(0, parameters, {"generator": weights}))
    export(folder / "checkpoint", folder / "model", ExportParameters(tflite="float32", onnx=True))


def measure(name: str, version: Path, size: int) -> None:
    """Measure one engine in this process; print the figures, and write what it generated."""
    from pix2pix.tensorflow import configure_tensorflow

    configure_tensorflow()
    library, load = ENGINES[name]
    began = time.perf_counter()
    __import__(library)
    imported = time.perf_counter() - began
    pictures = np.random.default_rng(0).integers(0, 256, (8, size, size, 3)).astype(np.uint8)
    began = time.perf_counter()
    engine = load(version)
    engine(pictures[:1])
    loaded = time.perf_counter() - began
    batches = []
    for number in (1, 8):
        seconds = []
        for _ in range(REPETITIONS):
            began = time.perf_counter()
            translated = engine(pictures[:number])
            seconds.append(time.perf_counter() - began)
        batches.append(1000 * statistics.median(seconds))
    np.save(version.parent.parent / f"{name}.npy", translated)
    print(json.dumps([imported, loaded, *batches]))


def main() -> None:
    """Export the models, measure the engines in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--engine", choices=ENGINES, help="measure this one alone, with --version and --size")
    parser.add_argument("--version", type=Path)
    parser.add_argument("--size", type=int)
    options = parser.parse_args()
    if options.engine is not None:
        measure(options.engine, options.version, options.size)
        return
    for size, filters in SIZES:
        print(f"{size} pixels, {filters} filters; {len(os.sched_getaffinity(0))} cores")
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            export_model(folder, size, filters)
            found: dict[str, list[list[float]]] = {name: [] for name in ENGINES}
            for _ in range(options.rounds):
                for name, figures in found.items():
                    command = [sys.executable, "-m", "benchmarks.engines", "--engine", name, "--size", str(size)]
                    command += ["--version", str(folder / "model" / "1")]
                    done = subprocess.run(command, check=True, capture_output=True, text=True)
                    figures.append(json.loads(done.stdout.splitlines()[-1]))
            reference = np.load(folder / "SavedModel.npy").astype(int)
            for name, figures in found.items():
                imported, loaded, one, eight = (statistics.median(column) for column in zip(*figures, strict=True))
                difference = np.abs(np.load(folder / f"{name}.npy").astype(int) - reference).max()
                print(
                    f"  {name:32} import {imported:5.2f} s, first picture {loaded:5.2f} s,"
                    f" batch of 1 {one:7.1f} ms, of 8 {eight:7.1f} ms, {difference} levels"
                )


if __name__ == "__main__":
    main()
