"""Ours: the compiled step of `pix2pix.training.step`, and generation through an exported model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from pix2pix.hyperparameters import resolve
from pix2pix.inference.export import export
from pix2pix.inference.translator import Translator
from pix2pix.model.networks import Generator
from pix2pix.model.translation import translate
from pix2pix.training import checkpoints
from pix2pix.training.devices import choose
from pix2pix.training.step import TrainingStep, without_fusion

Run = Callable[[], object]


def step(batch: int = 1, size: int = 256, filters: int = 64, **changes: object) -> Run:
    """Return one training step, as after the first thousand: one in eight also averages the weights."""
    parameters = resolve("train", {"size": size, "ngf": filters, "ndf": filters, "batch_size": batch}, changes)
    network = TrainingStep(parameters, choose(parameters), 0)
    pictures = np.random.default_rng(0).integers(0, 255, (batch, size, size, 6)).astype(np.uint8)
    seeds = np.zeros((batch, 2), np.int32)
    count = iter(range(1001, 10**9))

    def run() -> object:
        with without_fusion():
            return network(pictures, seeds, next(count)).numpy()

    return run


def generate(batch: int = 8, size: int = 256, filters: int = 64, engine: str = "auto") -> Run:
    """Return the generation of a batch by an exported model, loaded from disk."""
    parameters = resolve("train", {"size": size, "ngf": filters})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        weights = {name: value.numpy() for name, value in Generator(parameters, 1).weights.items()}
        checkpoints.write(path / "checkpoint", checkpoints.Checkpoint(0, parameters, {"generator": weights}))
        export(path / "checkpoint", path / "model")
        model = Translator(path / "model", engine)
    pictures = _pictures(batch, size)
    return lambda: model(pictures)


def in_process(batch: int = 8, size: int = 256, filters: int = 64) -> Run:
    """Return the generation of a batch by the same network in TensorFlow, without an export."""
    parameters = resolve("train", {"size": size, "ngf": filters})
    network = Generator(parameters, 1, matrix=True)
    compiled = tf.function(lambda pictures: translate(network, parameters, pictures))
    pictures = tf.constant(_pictures(batch, size))
    return lambda: compiled(pictures).numpy()


def _pictures(batch: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (batch, size, size, 3)).astype(np.uint8)


def peak_megabytes() -> float:
    """Return the peak of the allocated GPU memory since the last call; 0 without a GPU."""
    if not tf.config.list_logical_devices("GPU"):
        return 0.0
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    tf.config.experimental.reset_memory_stats("GPU:0")
    return peak
