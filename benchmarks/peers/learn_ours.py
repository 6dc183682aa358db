"""Ours in `quality.py`: the product's step, batches and generator, or the step with candidates."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from peers.learning import Lesson, Step, Translate, main
from pix2pix.tensorflow import configure_tensorflow

configure_tensorflow()

import tensorflow as tf  # noqa: E402 - after it is configured

from peers.candidate_step import Candidate, CandidateStep  # noqa: E402
from pix2pix.hyperparameters import resolve  # noqa: E402
from pix2pix.model.translation import translate  # noqa: E402
from pix2pix.training.dataset import PairSet, batch  # noqa: E402
from pix2pix.training.devices import choose  # noqa: E402
from pix2pix.training.step import TrainingStep, without_fusion  # noqa: E402


def prepare(lesson: Lesson) -> tuple[Step, Translate]:
    """Return the step and the translation; the change ``candidate`` has the values of a `Candidate`."""
    shape = {"size": lesson.size, "ngf": lesson.filters, "ndf": lesson.filters, "seed": lesson.seed}
    changes = {name: value for name, value in lesson.changes.items() if name != "candidate"}
    parameters = resolve("train", shape, {"scale_size": lesson.train.shape[1]}, changes)
    pairs = PairSet(Path(), tuple(map(str, range(len(lesson.train)))), (0, 0), parameters, tuple(lesson.train))
    network: TrainingStep
    if "candidate" in lesson.changes:
        network = CandidateStep(parameters, choose(parameters), Candidate(**lesson.changes["candidate"]))
    else:
        network = TrainingStep(parameters, choose(parameters), parameters.max_steps)

    def step(number: int, done: float) -> object:  # noqa: ARG001 - the number of steps decides on the schedule
        with without_fusion():
            return network(*batch(pairs, parameters, number), number + 1).numpy()

    compiled = tf.function(lambda pictures: translate(network.averaged, parameters, pictures))
    return step, lambda pictures: compiled(tf.constant(pictures)).numpy()


main(prepare)
