"""What a time budget chooses: a function of what is given, the pairs and the measured speed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import TrainParameters
from pix2pix.hyperparameters.budget import open_names

LADDER = ((32, 16), (32, 32), (64, 16), (64, 32), (128, 32), (128, 64), (256, 64))
"""Height and width, pixels, and filters, from cheap to expensive."""

LEAST_STEPS = 50
"""Fewer steps are no training: the smallest budget has time for these and for one evaluation."""

FEW_PICTURES, MANY_PICTURES, PASSES = 3000, 40_000, 3
"""A more expensive network is chosen if it sees this many pictures: `PASSES` times the pairs, within these bounds."""

EVALUATIONS, EVALUATION_SHARE = 10, 0.1
"""Evaluations in a training, and the part of the budget from which on there are fewer."""

MARGIN = 0.95
"""Part of the time that is planned for: saving and logging take the rest."""

MEASUREMENTS = 3
"""Networks that are timed at most: each has to be compiled, which takes some seconds."""

COMPILED_FROM = 30.0
"""Budget, minutes, from which on XLA compiles on a GPU: that takes minutes of its own for each network that is timed,
and once more for the training (docs/performance.md)."""


@dataclass(frozen=True)
class Speed:
    """How fast a machine trains a network, seconds each.

    Attributes:
        step: of one step.
        evaluation: of one held-out pair in an evaluation.
        compilation: before the first step and the first evaluation.
    """

    step: float
    evaluation: float
    compilation: float


@dataclass(frozen=True)
class PairsOutline:
    """What a budget needs to know about the pairs.

    Attributes:
        number: of pairs, those that will be held out included.
        side: shorter side of the middle one of the pairs' halves, pixels.
        loading: seconds until all pairs are read and checked.
    """

    number: int
    side: int
    loading: float = 0.0


@dataclass(frozen=True)
class Machine:
    """Measures this machine.

    Attributes:
        probe: returns roughly the seconds for a unit of `work`.
        measure: times a network.
    """

    probe: Callable[[], float]
    measure: Callable[[TrainParameters], Speed]


def choose(
    given: Mapping[str, object], pairs: PairsOutline, machine: Machine, elapsed: Callable[[], float] = lambda: 0.0
) -> dict[str, Any]:
    """Choose the hyperparameters that are left to a time budget.

    The most expensive network is taken that sees enough pictures in the time, and that is no larger than the pairs; all
    of the time is used.

    Args:
        given: names and values that were set, ``minutes`` or a preset with it among them.
        pairs: number and size of the pairs.
        machine: is measured a few times.
        elapsed: returns the seconds of the budget that are used up.

    Returns:
        name -> value of everything that was left open.

    Raises:
        HyperparameterError: a value or a combination that is not allowed, or a budget too small for one evaluation.
    """
    networks = list(_networks(given, pairs))
    chosen, speed = _affordable(networks, pairs, machine, elapsed)
    steps, between = _steps(chosen, speed, pairs, elapsed(), evaluation_steps=given.get("evaluation_steps"))
    values = {
        "max_steps": steps,
        "learning_rate": chosen.first_rate if chosen.weight_average else round(2.5e-4 * chosen.batch_size**0.5, 6),
        # An average of the weights does what a rate that ends at 0 is for, and together they were worse (decision 011).
        "learning_rate_schedule": "inverse_sqrt" if chosen.weight_average else "linear",
        "evaluation_steps": between,
    }
    return {name: values.get(name, getattr(chosen, name)) for name in open_names(given, chosen.minutes)}


def _networks(given: Mapping[str, object], pairs: PairsOutline) -> Iterator[TrainParameters]:
    """Yield the networks to choose from, cheapest first; at least one.

    Raises:
        HyperparameterError: none is possible with what is given.
    """
    refused, found = None, set()
    for size, filters in LADDER:
        values = {"size": size, "ngf": filters, "ndf": filters, **given, "max_steps": 0}
        # Nothing is learnt from enlarged pairs, and 32 pixels are for pairs that have no more.
        fits = size <= max(pairs.side, 32) and (size > 32 or pairs.side < 64)
        if "size" not in given and not fits:
            continue
        try:
            network = TrainParameters.of(values)
            if "batch_size" not in given:
                network = network.settled({"batch_size": 4 if max(network.shape) <= 128 else 1})
            if "xla" not in given and network.minutes < COMPILED_FROM:
                network = network.settled({"xla": "off"})
        except HyperparameterError as error:
            refused = error
            continue
        if network not in found:
            found.add(network)
            yield network
    if not found:
        raise refused or HyperparameterError("no network fits the pairs; set size")


def _affordable(
    networks: list[TrainParameters], pairs: PairsOutline, machine: Machine, elapsed: Callable[[], float]
) -> tuple[TrainParameters, Speed]:
    """Return the network that is chosen, and its speed.

    What a network costs follows from the probe, then from the network that was measured last; it is measured before it
    is chosen.
    """
    speeds: dict[int, Speed] = {}
    pace = machine.probe()
    while True:
        left = networks[0].minutes * 60 * MARGIN - elapsed() - pairs.loading
        steps = [speeds[n].step if n in speeds else pace * work(network) for n, network in enumerate(networks)]
        enough = [n for n, network in enumerate(networks) if steps[n] * _wanted(network, pairs) <= left]
        number = max(enough, default=0)
        if speeds and len(speeds) == MEASUREMENTS:
            number = max((n for n in speeds if n <= number), default=min(speeds))
        if number in speeds:
            return networks[number], speeds[number]
        speeds[number] = machine.measure(networks[number])
        pace = speeds[number].step / work(networks[number])


def work(network: TrainParameters) -> float:
    """Return roughly the milliseconds of a step on two cores with AVX2: those of its pictures, and of the weights.

    Fitted to 64 and 128 pixels, 16 to 64 filters and batches of 1 to 8; a network is measured before it is chosen.
    """
    (height, width), filters = network.shape, (network.ngf + network.ndf) / 64
    return 10 * network.batch_size * height * width / 64**2 * filters**1.3 + 60 * filters**1.6


def _wanted(network: TrainParameters, pairs: PairsOutline) -> int:
    """Return the number of steps that a network is worth its cost from."""
    return -(-min(max(FEW_PICTURES, PASSES * pairs.number), MANY_PICTURES) // network.batch_size)


def _steps(
    network: TrainParameters, speed: Speed, pairs: PairsOutline, spent: float, evaluation_steps: object
) -> tuple[int, int]:
    """Return the number of steps, and of those between two evaluations.

    Raises:
        HyperparameterError: the budget is too small.
    """
    evaluation = speed.evaluation * max(1, round(pairs.number * network.held_out))
    before = spent + pairs.loading + speed.compilation
    left = network.minutes * 60 * MARGIN - before
    if left < LEAST_STEPS * speed.step + evaluation:
        smallest = (before + LEAST_STEPS * speed.step + evaluation) / MARGIN / 60
        raise HyperparameterError(
            f"minutes = {network.minutes:g} is too small for one evaluation: at {network.shape[0]} x {network.shape[1]}"
            f" pixels, {LEAST_STEPS} steps take {LEAST_STEPS * speed.step:.1f} s on this machine, one evaluation"
            f" {evaluation:.1f} s, and what comes before {before:.1f} s;"
            f" the smallest budget is minutes = {math.ceil(smallest * 100) / 100:g}"
        )
    if isinstance(evaluation_steps, int) and evaluation_steps:
        steps = int(left / (speed.step + evaluation / evaluation_steps))
        return max(steps, LEAST_STEPS), evaluation_steps
    spare = min(EVALUATION_SHARE * left, left - LEAST_STEPS * speed.step)
    times = min(EVALUATIONS, max(1, int(spare / evaluation)))
    steps = int((left - times * evaluation) / speed.step)
    return steps, -(-steps // times)
