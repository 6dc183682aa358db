"""A time budget: what it chooses is a function of what is given, the pairs and the measured speed, and is kept."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from tiny_model import write_pairs

from pix2pix.budget.calibration import PROBE_WORK, probe
from pix2pix.budget.choice import Machine, PairsOutline, Speed, choose, work
from pix2pix.budget.outline import outline, sample
from pix2pix.budget.settling import RECORD, settled
from pix2pix.errors import HyperparameterError, InputError
from pix2pix.hyperparameters import TrainParameters, resolve
from pix2pix.hyperparameters.budget import LEFT_TO_BUDGET
from pix2pix.training import checkpoints

UNIT = work(resolve("train", {"size": 64, "ngf": 32, "ndf": 32, "batch_size": 4}))


class Bench:
    """A machine that takes `step` seconds for a step of four pairs at 64 pixels with 32 filters."""

    def __init__(self, step: float = 0.1, compilation: float = 5.0, probed: float | None = None) -> None:
        self.step, self.compilation = step, compilation
        self.probed = step if probed is None else probed
        self.measured: list[TrainParameters] = []

    def measure(self, parameters: TrainParameters) -> Speed:
        self.measured.append(parameters)
        step = self.step * work(parameters) / UNIT
        return Speed(step, step / parameters.batch_size / 6, self.compilation)

    @property
    def machine(self) -> Machine:
        return Machine(lambda: self.probed / UNIT, self.measure)


PHOTOGRAPHS = PairsOutline(80, 128, loading=1.0)


@pytest.mark.parametrize(
    ("minutes", "step", "pairs", "size", "filters"),
    [
        (1, 0.1, PHOTOGRAPHS, 64, 16),
        (2, 0.1, PHOTOGRAPHS, 64, 32),
        (5, 0.1, PHOTOGRAPHS, 128, 32),
        (10, 0.1, PHOTOGRAPHS, 128, 64),
        (60, 0.1, PHOTOGRAPHS, 128, 64),
        (2, 0.01, PHOTOGRAPHS, 128, 64),  # ten times as fast a machine
        (600, 0.1, PHOTOGRAPHS, 128, 64),  # no larger than the pairs
        (600, 0.1, PairsOutline(80, 300), 256, 64),
        (600, 0.1, PairsOutline(80, 40), 32, 32),
        (10, 0.1, PairsOutline(5000, 128), 64, 32),  # many pairs want many steps
    ],
)
def test_the_largest_network_that_sees_enough_pictures_is_chosen(
    minutes: float, step: float, pairs: PairsOutline, size: int, filters: int
) -> None:
    chosen = choose({"minutes": minutes}, pairs, Bench(step).machine)
    assert (chosen["size"], chosen["ngf"], chosen["ndf"]) == (size, filters, filters)


@pytest.mark.parametrize(("preset", "schedule"), [("best", "inverse_sqrt"), ("paper", "linear")])
def test_the_learning_rate_ends_at_zero_only_where_the_weights_are_not_averaged(preset: str, schedule: str) -> None:
    chosen = choose({"minutes": 2, "preset": preset}, PHOTOGRAPHS, Bench().machine)
    assert chosen["learning_rate_schedule"] == schedule


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({"ngf": 64, "batch_size": 1}, 8e-4),
        ({"ngf": 16, "batch_size": 1}, 1.6e-3),
        ({"ngf": 16, "batch_size": 4}, 3.2e-3),
        ({"ngf": 4, "batch_size": 16}, 3.2e-3),
        ({"ngf": 16, "batch_size": 4, "preset": "paper"}, 5e-4),
        ({"ngf": 16, "batch_size": 4, "learning_rate": 1e-4}, 1e-4),
    ],
)
def test_fewer_filters_and_larger_batches_get_a_larger_learning_rate(given: Mapping[str, object], rate: float) -> None:
    chosen = choose({"minutes": 2, **given}, PHOTOGRAPHS, Bench().machine)
    assert {**given, **chosen}["learning_rate"] == rate


@pytest.mark.parametrize("minutes", [0.5, 1, 2, 10, 60, 600])
@pytest.mark.parametrize("pairs", [PHOTOGRAPHS, PairsOutline(5000, 512, loading=5.0), PairsOutline(3, 64)])
def test_compilation_steps_and_evaluations_take_nine_tenths_of_the_budget_or_more_and_never_more_than_it(
    minutes: float, pairs: PairsOutline
) -> None:
    bench = Bench(0.05)
    chosen = choose({"minutes": minutes}, pairs, bench.machine, elapsed=lambda: 4.0)
    speed = bench.measure(TrainParameters().settled(chosen))
    evaluations = -(-chosen["max_steps"] // chosen["evaluation_steps"])
    evaluation = max(1, round(pairs.number * 0.2)) * speed.evaluation
    used = 4.0 + pairs.loading + 5.0 + chosen["max_steps"] * speed.step + evaluations * evaluation
    assert 0.9 * 60 * minutes <= used <= 60 * minutes


@pytest.mark.parametrize(
    ("given", "xla"),
    [({"minutes": 10}, "off"), ({"minutes": 60}, "auto"), ({"minutes": 10, "xla": "on"}, "on")],
)
def test_a_short_budget_spends_no_time_on_compilation_by_xla(given: Mapping[str, object], xla: str) -> None:
    bench = Bench()
    chosen = choose(given, PHOTOGRAPHS, bench.machine)
    assert {network.xla for network in bench.measured} == {chosen.get("xla", given.get("xla"))} == {xla}


def test_equal_measurements_give_an_equal_choice_and_another_speed_another_one() -> None:
    first, again, slow = (choose({"minutes": 2}, PHOTOGRAPHS, Bench(step).machine) for step in (0.1, 0.1, 0.12))
    assert first == again != slow
    assert set(first) == set(LEFT_TO_BUDGET)


def test_a_choice_is_by_what_was_measured_where_the_cost_model_is_wrong() -> None:
    class LaunchBound(Bench):
        def measure(self, parameters: TrainParameters) -> Speed:
            super().measure(parameters)
            return Speed(0.02, 0.002, 5.0)

    launch_bound = LaunchBound()
    assert choose({"minutes": 10}, PairsOutline(80, 256), launch_bound.machine)["size"] == 256
    assert len(launch_bound.measured) <= 3
    for probed in (1e-6, 1e3):
        bench = Bench(probed=probed)
        assert choose({"minutes": 2}, PHOTOGRAPHS, bench.machine)["ngf"] == 32, "the probe alone decides nothing"

    class Thrashing(Bench):
        def measure(self, parameters: TrainParameters) -> Speed:
            speed = super().measure(parameters)
            return Speed(speed.step * (100 if parameters.size == 128 else 1), speed.evaluation, speed.compilation)

    assert choose({"minutes": 10}, PHOTOGRAPHS, Thrashing().machine)["size"] == 64


@pytest.mark.parametrize(
    "given",
    [
        {"size": 128},
        {"ngf": 8, "ndf": 8},
        {"batch_size": 2},
        {"learning_rate": 1e-3},
        {"evaluation_steps": 25},
        {"xla": "on"},
    ],
)
def test_what_is_given_wins_and_only_the_rest_is_chosen(given: Mapping[str, object]) -> None:
    bench = Bench()
    chosen = choose({"minutes": 2, **given}, PHOTOGRAPHS, bench.machine)
    assert set(chosen) == set(LEFT_TO_BUDGET) - set(given)
    if "evaluation_steps" not in given and "learning_rate" not in given:
        assert all(getattr(network, name) == value for network in bench.measured for name, value in given.items())


@pytest.mark.parametrize(("size", "batch_size"), [(64, 4), (128, 4), (256, 1)])
def test_the_batch_follows_the_size_also_where_that_is_given(size: int, batch_size: int) -> None:
    assert choose({"minutes": 60, "size": size}, PHOTOGRAPHS, Bench().machine)["batch_size"] == batch_size


def test_a_budget_that_is_too_small_is_refused_with_the_smallest_that_works() -> None:
    with pytest.raises(HyperparameterError) as caught:
        choose({"preset": "best", "minutes": 0.05}, PHOTOGRAPHS, Bench().machine)
    text = str(caught.value)
    assert "minutes = 0.05 is too small for one evaluation" in text and "50 steps take 1.8 s" in text
    smallest = float(text.rpartition("minutes = ")[2])
    assert choose({"minutes": smallest}, PHOTOGRAPHS, Bench().machine)["max_steps"] >= 50
    with pytest.raises(HyperparameterError, match="too small"):
        choose({"minutes": smallest - 0.02}, PHOTOGRAPHS, Bench().machine)


@pytest.mark.parametrize("limit", [{"max_steps": 5}, {"max_epochs": 2}, {"max_seconds": 9.0}])
@pytest.mark.parametrize("budget", [{"minutes": 2}, {"preset": "laptop"}])
def test_a_budget_beside_another_limit_is_refused(budget: Mapping[str, object], limit: Mapping[str, object]) -> None:
    (name,) = limit
    with pytest.raises(HyperparameterError, match=f"minutes = .* chooses the number of steps, and {name} = "):
        resolve("train", limit, budget)
    assert resolve("train", limit, {"minutes": 0}).minutes == 0
    assert resolve("train", budget, {name: 0}).minutes > 0


def test_the_preset_laptop_is_the_best_one_within_ten_minutes() -> None:
    laptop, best = resolve("train", {"preset": "laptop"}), resolve("train", {})
    assert laptop.minutes == 10
    assert laptop == TrainParameters(**{**vars(best), "preset": "laptop", "minutes": 10.0})
    with pytest.raises(HyperparameterError, match="preset = 'laptop' means minutes = 10"):
        resolve("train", {"preset": "laptop", "minutes": 5})


def test_the_size_of_the_pairs_is_that_of_the_middle_one_of_a_sample(tmp_path: Path) -> None:
    for number, size in enumerate((32, 48, 64)):
        write_pairs(tmp_path / str(number), 1, size)
    (tmp_path / "x.png").write_bytes(b"not a picture")
    names = ("0/000.png", "1/000.png", "2/000.png", "x.png")
    found = outline(tmp_path, names, 40, TrainParameters(), clock=iter([1.0, 1.5]).__next__)
    assert found == PairsOutline(40, 48, loading=2 * 0.5 * 10)
    with pytest.raises(InputError, match="none of 1 pictures"):
        outline(tmp_path, ("x.png",), 1, TrainParameters())
    assert len(sample([str(n) for n in range(1000)])) <= 32


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    return write_pairs(tmp_path / "pairs", 5)


def no_measurement(*_: TrainParameters) -> NoReturn:
    raise AssertionError("measured anew")


NOT_AGAIN = Machine(no_measurement, no_measurement)


def resumed(pairs: Path, work_folder: Path, machine: Machine) -> TrainParameters:
    return settled(pairs, work_folder, {"minutes": 2}, machine)


def test_a_resumed_training_keeps_what_was_chosen_at_first(pairs: Path, tmp_path: Path) -> None:
    first = resumed(pairs, tmp_path / "work", Bench().machine)
    assert first.minutes == 2 and first.max_steps > 0
    assert resumed(pairs, tmp_path / "work", NOT_AGAIN) == first
    assert json.loads((tmp_path / "work" / RECORD).read_text())["given"] == {"minutes": 2}
    with pytest.raises(AssertionError, match="measured anew"):
        resumed(write_pairs(tmp_path / "others", 6), tmp_path / "work", NOT_AGAIN)


def test_a_training_is_not_continued_with_another_budget(pairs: Path, tmp_path: Path) -> None:
    resumed(pairs, tmp_path / "work", Bench().machine)
    (tmp_path / "work" / checkpoints.STATES / "10").mkdir(parents=True)
    with pytest.raises(InputError, match="give the same ones, or another output folder"):
        settled(pairs, tmp_path / "work", {"minutes": 3}, NOT_AGAIN)
    (tmp_path / "work" / RECORD).write_text("damaged")
    with pytest.raises(InputError, match="give the same ones, or another output folder"):
        resumed(pairs, tmp_path / "work", NOT_AGAIN)


def test_the_probe_measures_also_after_a_deterministic_training() -> None:
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    ticks = itertools.count(0.0, 0.25)
    assert probe(lambda: next(ticks)) == pytest.approx(0.25 / PROBE_WORK)


def test_without_a_budget_nothing_is_read_or_measured(tmp_path: Path) -> None:
    assert settled(tmp_path / "none", tmp_path, {"ngf": 8}, NOT_AGAIN) == resolve("train", {"ngf": 8})
