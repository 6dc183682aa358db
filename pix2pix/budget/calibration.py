"""Measures how fast this machine trains."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from pix2pix.budget.choice import Machine, Speed
from pix2pix.hyperparameters import TrainParameters
from pix2pix.training.devices import choose
from pix2pix.training.step import TrainingStep, without_fusion
from pix2pix.training.validation import BATCH, Validator

SECONDS = 1.0
"""Spent on the steps of one network, once they are compiled."""

PROBE_SECONDS = 0.3
"""Spent on the probe, which is not compiled."""

PROBE_WORK = 7.5
"""`pix2pix.budget.choice.work` that takes as long as the probe's convolution, on two cores with AVX2."""


def probe(clock: Callable[[], float] = time.perf_counter) -> float:
    """Return roughly the seconds per unit of `pix2pix.budget.choice.work`, by a convolution and its gradients."""
    # Not TensorFlow's random numbers, which need a seed once operations have to be deterministic.
    draw = np.random.default_rng(0)
    pictures = tf.constant(draw.standard_normal((4, 32, 32, 64), np.float32))
    kernel = tf.constant(draw.standard_normal((4, 4, 64, 128), np.float32))

    def convolve() -> None:
        with tf.GradientTape() as tape:
            tape.watch([pictures, kernel])
            result = tf.nn.conv2d(pictures, kernel, 2, "SAME")
        for gradient in tape.gradient(result, [pictures, kernel]):
            gradient.numpy()

    convolve()
    return _time(convolve, PROBE_SECONDS, clock) / PROBE_WORK


def measure(parameters: TrainParameters, clock: Callable[[], float] = time.perf_counter) -> Speed:
    """Time training steps, and the evaluation of held-out pairs, with networks that have learnt nothing.

    Args:
        parameters: of the training.
        clock: returns seconds.

    Raises:
        HyperparameterError: see `pix2pix.training.devices.choose`.
    """
    if parameters.deterministic:
        tf.config.experimental.enable_op_determinism()
    devices = choose(parameters)
    pictures = _noise(parameters, parameters.batch_size)
    seeds = np.array([(parameters.seed, position) for position in range(parameters.batch_size)], np.int32)
    with without_fusion():
        began = clock()
        network = TrainingStep(parameters, devices, 1)
        network(pictures, seeds, 1).numpy()
        step_compiled = clock() - began
        step = _time(lambda: network(pictures, seeds, 2).numpy(), SECONDS, clock)
        validator, batch = Validator(network.averaged, parameters), _noise(parameters, BATCH)
        began = clock()
        validator.show(batch)
        validator_compiled = clock() - began
        evaluation = _time(lambda: validator.show(batch), SECONDS / 4, clock) / BATCH
    return Speed(step, evaluation, step_compiled + validator_compiled)


def _noise(parameters: TrainParameters, number: int) -> np.ndarray:
    channels = 3 if parameters.lab_colorization else 6
    return np.random.default_rng(0).integers(0, 256, (number, *parameters.shape, channels), np.uint8)


def _time(work: Callable[[], object], seconds: float, clock: Callable[[], float]) -> float:
    """Return the mean duration of calls of `work`, made for so many seconds."""
    began, calls = clock(), 0
    while calls < 2 or clock() - began < seconds:
        work()
        calls += 1
    return (clock() - began) / calls


THIS_MACHINE = Machine(probe, measure)
