"""One training step: both networks forward once, both losses, both updates, compiled as one graph.

It exists apart from the loop around it so that what is learnt can be read, and measured, by itself. The update is
simultaneous: gradients of both losses come from one forward pass. One code serves one device and many: losses are
means over a picture, summed over pictures and divided by the whole batch, and gradients are summed over devices.
"""

from __future__ import annotations

import math
from typing import Any

from pix2pix.hyperparameters import TrainParameters
from pix2pix.model.losses import adversarial_loss, discriminator_loss, l1_loss
from pix2pix.model.networks import Discriminator, Generator, Network
from pix2pix.model.optimizer import Adam
from pix2pix.model.translation import network_pair
from pix2pix.tensorflow import Tensor, tf
from pix2pix.training.devices import Devices

LOSSES = ("discriminator", "adversarial", "l1")
"""What a step reports, in this order: the two sides of the game, unweighted, and L1 in [-1, 1]; 0 where left out."""


class TrainingStep:
    """Networks, optimisers and the compiled step that changes them.

    Attributes:
        generator: the network that is wanted.
        discriminator: its opponent; has no weights where `gan_weight` is 0.
        optimizers: Adam of each.
    """

    def __init__(self, parameters: TrainParameters, devices: Devices, total: int) -> None:
        """Make everything as it is before step 1.

        Args:
            parameters: of the training.
            devices: where it runs.
            total: the last step, for the schedule of the learning rate; 0 where unknown.
        """
        self._parameters = parameters
        self._devices = devices
        self._total = total
        with devices.strategy.scope():
            self.generator = Generator(parameters, parameters.seed, devices.matrix)
            self.discriminator = Discriminator(parameters, parameters.seed, devices.matrix)
            self.optimizers = [Adam(n.variables_list(), parameters.beta1) for n in self._networks]
        self._compiled = tf.function(self._on_all_devices, jit_compile=devices.compiled)

    @property
    def _networks(self) -> list[Network]:
        return [self.generator, self.discriminator]

    def __call__(self, pictures: Any, seeds: Any, step: int) -> Tensor:
        """Learn from one batch.

        Args:
            pictures: uint8 ``[N, H, W, C]``, the whole batch as `pix2pix.training.dataset.batch` deals it.
            seeds: int32 ``[N, 2]``.
            step: number of this step, from 1.

        Returns:
            `LOSSES`, float32 ``[3]``, of this batch, before the update.
        """
        number = tf.constant(step, tf.float32)
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
        """Tell whether any worker says True; all of them must ask at the same step."""
        if self._devices.workers == 1:
            return flag

        def ask() -> Any:
            flags = tf.constant(float(flag))
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, flags)

        strategy = self._devices.strategy
        return bool(strategy.experimental_local_results(strategy.run(ask))[0] > 0)

    def _on_all_devices(self, pictures: Tensor, seeds: Tensor, step: Tensor) -> Tensor:
        if self._devices.replicas == 1:
            return self._learn(pictures, seeds, step)
        strategy = self._devices.strategy
        return strategy.experimental_local_results(strategy.run(self._learn, (pictures, seeds, step)))[0]

    def _learn(self, pictures: Tensor, seeds: Tensor, step: Tensor) -> Tensor:
        """Learn from this device's share of a batch."""
        parameters = self._parameters
        x, y = (tf.cast(half, self._devices.dtype) for half in network_pair(parameters, pictures))
        nothing = tf.zeros(pictures.shape[:1])
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            generated = self.generator(x, seeds)
            judged, adversarial, l1 = nothing, nothing, nothing
            if parameters.gan_weight:
                real = self.discriminator(x, y)
                fake = self.discriminator(x, tf.cast(generated, x.dtype))
                judged = discriminator_loss(parameters.gan_mode, real, fake)
                adversarial = adversarial_loss(parameters.gan_mode, fake)
            if parameters.l1_weight:
                l1 = l1_loss(tf.cast(y, tf.float32), generated)
            losses = tf.reduce_sum(tf.stack([judged, adversarial, l1]), axis=1) / parameters.batch_size
            wanted = parameters.gan_weight * losses[1] + parameters.l1_weight * losses[2]
            opposed = losses[0]
        gradients = [
            generator_tape.gradient(wanted, self.generator.variables_list()),
            discriminator_tape.gradient(opposed, self.discriminator.variables_list()),
        ]
        rate = learning_rate(parameters, step, self._total)
        for optimizer, gradient in zip(self.optimizers, self._sum_over_devices(gradients), strict=True):
            optimizer.apply(gradient, step, rate)
        return self._sum_over_devices(losses)

    def _sum_over_devices(self, values: Any) -> Any:
        if self._devices.replicas == 1:
            return values
        return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def in_words(losses: Any) -> str:
    """What a step reports, as a note for a person."""
    return f"L1 {losses[2]:.3f}, D {losses[0]:.2f}, G {losses[1]:.2f}" if losses[0] else f"L1 {losses[2]:.3f}"


def learning_rate(parameters: TrainParameters, step: Tensor, total: int) -> Tensor:
    """The learning rate of a step, float32 scalar.

    Args:
        parameters: rate and schedule; ``linear`` is constant for half of the way, then falls to 0 behind the last step.
        step: its number, from 1, float32 scalar.
        total: the last step.
    """
    base = tf.constant(parameters.learning_rate, tf.float32)
    if parameters.learning_rate_schedule == "constant":
        return base
    done = (step - 1) / total
    return base * (tf.minimum(1.0, 2 - 2 * done) if parameters.learning_rate_schedule == "linear" else _cosine(done))


def _cosine(done: Tensor) -> Tensor:
    return (1 + tf.cos(math.pi * done)) / 2
