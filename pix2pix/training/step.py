"""One training step: forward pass, losses and updates of both networks, compiled as one graph.

The update is simultaneous: the gradients of both losses come from one forward pass. Losses are means over a picture,
summed over pictures and divided by the whole batch, and gradients are summed over devices: the number of devices does
not change what is learnt.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.averaging import is_averaged, kept_share
from pix2pix.model.losses import adversarial_loss, discriminator_loss, l1_loss
from pix2pix.model.networks import Discriminator, Generator, Network
from pix2pix.model.optimizer import Adam
from pix2pix.model.translation import network_pair
from pix2pix.tensorflow import Tensor
from pix2pix.training.devices import Devices

LOSSES = ("discriminator", "adversarial", "l1")
"""The losses that a step returns, in this order: both adversarial sides, unweighted, and L1 (0 to 2); 0 if unused."""

CONSTANT_STEPS = 1000
"""Steps before the learning rate begins to fall with the square root of their number, where that is its schedule."""


class TrainingStep:
    """Networks, optimizers and the compiled step that updates them.

    Attributes:
        generator: the network that learns to translate.
        averaged: the network whose weights are the average of the generator's; the generator itself without one.
        discriminator: its opponent; has no weights if `gan_weight` is 0.
        optimizers: of the generator and of the discriminator.
    """

    def __init__(self, parameters: TrainParameters, devices: Devices, total: int) -> None:
        """Initialize everything as it is before step 1.

        Args:
            parameters: of the training.
            devices: to run on.
            total: the last step, for the schedule of the learning rate; 0 if unknown.
        """
        self._parameters = parameters
        self._devices = devices
        self._total = total
        with devices.strategy.scope():
            self.generator = self.averaged = Generator(parameters, parameters.seed, devices.matrix)
            if parameters.weight_average:
                self.averaged = Generator(parameters, parameters.seed, devices.matrix)
            self.discriminator = Discriminator(parameters, parameters.seed, devices.matrix)
            self.optimizers = [Adam(n.variables_list(), parameters.beta1) for n in self._networks]
        self._compiled = tf.function(self._on_all_devices, jit_compile=devices.compiled)
        self._compiled_average = tf.function(self._average_on_all_devices)

    @property
    def _networks(self) -> list[Network]:
        return [self.generator, self.discriminator]

    def __call__(self, pictures: Any, seeds: Any, step: int) -> Tensor:
        """Learn from one batch.

        Args:
            pictures: uint8 ``[N, H, W, C]``, the whole batch as returned by `pix2pix.training.dataset.batch`.
            seeds: of the dropout, int32 ``[N, 2]``.
            step: number of this step, counted from 1.

        Returns:
            the `LOSSES` of this batch before the update, float32 ``[3]``.
        """
        losses = self._learn_from(pictures, seeds, tf.constant(step, tf.float32))
        if self._parameters.weight_average and is_averaged(step):
            self._compiled_average(tf.constant(kept_share(self._parameters.weight_average, step), tf.float32))
        return losses

    def _learn_from(self, pictures: Any, seeds: Any, number: Tensor) -> Tensor:
        if self._devices.replicas == 1:
            return self._compiled(tf.constant(pictures), tf.constant(seeds), number)
        share = len(pictures) // self._devices.replicas

        def part(values: Any) -> Any:
            def of_replica(context: Any) -> Any:
                first = context.replica_id_in_sync_group * share
                return tf.constant(values[first : first + share])

            return self._devices.strategy.experimental_distribute_values_from_function(of_replica)

        return self._compiled(part(pictures), part(seeds), number)

    def any_device(self, flag: bool) -> bool:
        """Return whether the flag is set on any worker; all workers must call this at the same step."""
        if self._devices.workers == 1:
            return flag

        def count_flags() -> Any:
            flags = tf.constant(float(flag))
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flags)

        strategy = self._devices.strategy
        return bool(strategy.experimental_local_results(strategy.run(count_flags))[0] > 0)

    def _on_all_devices(self, pictures: Tensor, seeds: Tensor, step: Tensor) -> Tensor:
        if self._devices.replicas == 1:
            return self._learn(pictures, seeds, step)
        strategy = self._devices.strategy
        return strategy.experimental_local_results(strategy.run(self._learn, (pictures, seeds, step)))[0]

    def _average_on_all_devices(self, kept: Tensor) -> None:
        if self._devices.replicas == 1:
            self._average(kept)
        else:
            self._devices.strategy.run(self._average, (kept,))

    def _average(self, kept: Tensor) -> None:
        """Move the averaged weights to the generator's, on this device."""
        for average, weight in zip(self.averaged.variables_list(), self.generator.variables_list(), strict=True):
            # On the handle, as in Adam: a mirrored variable refuses to be assigned on one device.
            tf.raw_ops.AssignVariableOp(resource=average.handle, value=weight + kept * (average - weight))

    def _learn(self, pictures: Tensor, seeds: Tensor, step: Tensor) -> Tensor:
        """Learn from this device's share of a batch."""
        parameters = self._parameters
        x, y = (tf.cast(half, self._devices.dtype) for half in network_pair(parameters, pictures))
        nothing = tf.zeros(pictures.shape[:1])
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            generated = self.generator(x, seeds)
            discriminator, adversarial, l1 = nothing, nothing, nothing
            if parameters.gan_weight:
                real = self.discriminator(x, y)
                fake = self.discriminator(x, tf.cast(generated, x.dtype))
                discriminator = discriminator_loss(parameters.gan_mode, real, fake)
                adversarial = adversarial_loss(parameters.gan_mode, fake)
            if parameters.l1_weight:
                l1 = l1_loss(tf.cast(y, tf.float32), generated)
            losses = tf.reduce_sum(tf.stack([discriminator, adversarial, l1]), axis=1) / parameters.batch_size
            generator_loss = parameters.gan_weight * losses[1] + parameters.l1_weight * losses[2]
            opponent_loss = losses[0]  # indexed under the tape, or it has no gradient
        gradients = [
            generator_tape.gradient(generator_loss, self.generator.variables_list()),
            discriminator_tape.gradient(opponent_loss, self.discriminator.variables_list()),
        ]
        rate = learning_rate(parameters, step, self._total)
        for optimizer, gradient in zip(self.optimizers, self._sum_over_devices(gradients), strict=True):
            optimizer.apply(gradient, step, rate)
        return self._sum_over_devices(losses)

    def _sum_over_devices(self, values: Any) -> Any:
        if self._devices.replicas == 1:
            return values
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


@contextlib.contextmanager
def without_fusion() -> Iterator[None]:
    """Keep Grappler from fusing operations in the calling thread; for the time of a training.

    Where a gradient needs both a bias and its ReLU, Grappler fails to fuse them and logs an error for each; elsewhere
    fusion does not speed up a training.
    """
    before = tf.config.optimizer.get_experimental_options().get("remapping", True)
    tf.config.optimizer.set_experimental_options({"remapping": False})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": before})


def progress_note(losses: Any) -> str:
    """Return the losses of a step as a short note."""
    return f"L1 {losses[2]:.3f}, D {losses[0]:.2f}, G {losses[1]:.2f}" if losses[0] else f"L1 {losses[2]:.3f}"


def learning_rate(parameters: TrainParameters, step: Tensor, total: int) -> Tensor:
    """Return the learning rate of a step, float32 scalar.

    Args:
        parameters: rate and schedule; ``linear`` is constant for half of the steps, then falls to 0 after the last.
        step: number of the step, counted from 1, float32 scalar.
        total: the last step; used by the schedules that end there.
    """
    base = tf.constant(parameters.first_rate, tf.float32)
    if parameters.learning_rate_schedule == "constant":
        return base
    if parameters.learning_rate_schedule == "inverse_sqrt":
        return base * tf.math.rsqrt(tf.maximum(1.0, step / CONSTANT_STEPS))
    done = (step - 1) / total
    return base * (tf.minimum(1.0, 2 - 2 * done) if parameters.learning_rate_schedule == "linear" else _cosine(done))


def _cosine(done: Tensor) -> Tensor:
    return (1 + tf.cos(math.pi * done)) / 2
