"""TensorFlow's tutorial in `quality.py`: its networks, optimizers and constant rate; batch statistics at test time."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
import tensorflow as tf

from peers.keras_tutorial import discriminator, generator, training_step
from peers.learning import Lesson, Step, Translate, main


def prepare(lesson: Lesson) -> tuple[Step, Translate]:
    """Return the step and the translation."""
    keras.utils.set_random_seed(lesson.seed)
    g, d = generator(lesson.size, lesson.filters), discriminator(lesson.size, lesson.filters)
    compiled = training_step(g, d)

    def step(number: int, done: float) -> object:  # noqa: ARG001 - the rate is constant
        pair = lesson.batch(number).astype(np.float32) / 127.5 - 1
        return compiled(tf.constant(pair[..., :3]), tf.constant(pair[..., 3:])).numpy()

    def translate(pictures: np.ndarray) -> np.ndarray:
        output = g(tf.constant(pictures.astype(np.float32) / 127.5 - 1), training=True).numpy()
        return np.clip(np.round((output + 1) * 127.5), 0, 255).astype(np.uint8)

    return step, translate


main(prepare)
