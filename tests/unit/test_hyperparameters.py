"""Invalid values are refused before any work, by name and with what is allowed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest
from msgspec.inspect import BoolType, FloatType, IntType, Metadata, type_info

from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import SECTIONS, TrainParameters, parse, parse_assignments, resolve


def test_the_preset_paper_is_the_papers():
    train = resolve("train", {"preset": "paper"})
    assert (train.upsampling, train.weight_average, train.learning_rate_schedule) == ("transposed", 0.0, "constant")
    assert (train.size, train.load_shape, train.batch_size, train.learning_rate, train.beta1) == (
        256,
        (286, 286),
        1,
        2e-4,
        0.5,
    )
    assert resolve("train", {"preset": "paper", "learning_rate": 1e-3}).learning_rate == 1e-3
    assert (train.ngf, train.ndf, train.l1_weight, train.gan_weight, train.epochs, train.levels) == (
        64,
        64,
        100,
        1,
        200,
        8,
    )


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, 8e-4),
        ({"ngf": 16}, 1.6e-3),
        ({"ngf": 16, "batch_size": 4}, 3.2e-3),
        ({"ngf": 4, "batch_size": 16}, 3.2e-3),
        ({"ngf": 16, "learning_rate": 1e-4}, 1e-4),
        ({"ngf": 16, "preset": "paper"}, 2e-4),
    ],
)
def test_fewer_filters_and_larger_batches_get_a_larger_learning_rate(given, rate):
    assert resolve("train", given).first_rate == rate


def test_a_value_that_contradicts_its_preset_is_refused_and_the_default_preset_gives_way():
    message = r"^preset = 'paper' means upsampling = 'transposed', and upsampling = 'resize' is given; leave one .*"
    with pytest.raises(HyperparameterError, match=message):
        resolve("train", {"preset": "paper"}, {"upsampling": "resize"})
    assert resolve("train", {"preset": "paper", "upsampling": "transposed", "ngf": 8}).ngf == 8
    assert resolve("train", {"upsampling": "resize"}).preset == "best"
    for preset in ("best", "paper"):
        values = dataclasses.asdict(resolve("train", {"preset": preset}))
        assert dataclasses.asdict(resolve("train", values)) == values


def test_what_a_record_of_an_earlier_version_lacks_is_the_papers():
    values = dataclasses.asdict(TrainParameters())
    for name in ("preset", "upsampling", "weight_average"):
        del values[name]
    assert (TrainParameters.recorded(values).upsampling, TrainParameters.recorded(values).weight_average) == (
        "transposed",
        0.0,
    )


def test_later_layers_win():
    assert resolve("train", {"size": 64, "ngf": 8}, {"size": 128}) == TrainParameters(size=128, ngf=8)


def test_a_whole_number_stands_for_a_float_and_not_the_other_way_round():
    assert resolve("train", {"l1_weight": 10}).l1_weight == 10.0
    with pytest.raises(HyperparameterError, match=r"ngf = 8.0 cannot be used; allowed: a whole number from 1 to 512"):
        resolve("train", {"ngf": 8.0})


def unusable(kind):
    """Values that a field of this type refuses."""
    if isinstance(kind, IntType):
        return [kind.le + 1, kind.ge - 1, "1", True, 8.0]
    if isinstance(kind, FloatType):
        return [float("nan"), float("inf"), kind.ge - 1, "1", True]
    if isinstance(kind, BoolType):
        return [1, "yes", None]
    if isinstance(kind, Metadata) and any(isinstance(part, BoolType) for part in getattr(kind.type, "types", ())):
        return ["elsewhere", -7, 1, [2.0, 1.0]]
    return ["elsewhere", -7, True, [2.0, 1.0]]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_value_out_of_range_is_refused_by_name(section):
    for name, hint in SECTIONS[section].TYPES.items():
        for value in unusable(type_info(hint)):
            with pytest.raises(HyperparameterError, match=rf"^{name} = .*; allowed: "):
                resolve(section, {name: value})
            with pytest.raises(HyperparameterError, match=rf"^{name} = .*; allowed: "):
                SECTIONS[section](**{name: value})


@pytest.mark.parametrize("section", SECTIONS)
def test_every_number_has_a_lowest_and_a_highest_value(section):
    for hint in SECTIONS[section].TYPES.values():
        kind = type_info(hint)
        if isinstance(kind, (IntType, FloatType)):
            assert None not in (kind.ge, kind.le)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_hyperparameter_is_documented(section):
    text = SECTIONS[section].__doc__ or ""
    assert [
        item.name for item in dataclasses.fields(SECTIONS[section]) if f"        {item.name}: " not in f"\n    {text}"
    ] == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"size": 33}, "cannot be halved"),
        ({"size": 64, "width": 16}, "width = 16 is out of range"),
        ({"size": 256, "width": 96, "depth": 8}, "cannot be halved"),
        ({"scale_size": 200}, "scale_size = 200 is smaller"),
        ({"out_channels": 2}, "out_channels = 2"),
        ({"gan_weight": 0, "l1_weight": 0}, "nothing is left to learn"),
        ({"size": 32, "discriminator_layers": 5}, "allowed at this size: 0 to 3"),
        ({"learning_rate_schedule": "linear", "max_seconds": 5}, "set max_steps"),
        ({"keep_best": "ssim", "held_out": 0}, "set held_out"),
    ],
)
def test_values_that_are_wrong_together_are_refused(values, problem):
    with pytest.raises(HyperparameterError, match=problem):
        resolve("train", values)


def test_an_unknown_name_is_refused_with_the_nearest_and_all_that_are_allowed():
    with pytest.raises(
        HyperparameterError, match=r"unknown hyperparameter of \[train\]: bacth_size \(did you mean batch_size"
    ):
        resolve("train", {"bacth_size": 1})
    with pytest.raises(HyperparameterError, match="allowed: train, export, resize, generate"):
        resolve("tarin")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[train", "params.toml is not valid TOML: line 1, column 7"),
        ("[trian]\nsize = 64", r"params.toml: line 1, column 2: unknown section: trian \(did you mean train\?\)"),
        ("size = 64", r"params.toml: line 1, column 1: size is outside a section"),
        ("train = 64", r"params.toml: line 1, column 1: train is not a section"),
        (
            "[train]\nsize = 7",
            r"params.toml: line 2, column 1: size = 7 cannot be used; allowed: a whole number from 32 to 1024",
        ),
        ("[generate]\nngf = 7", r"params.toml: line 2, column 1: unknown hyperparameter of \[generate\]: ngf"),
    ],
)
def test_a_wrong_file_is_refused_by_name(text, problem):
    with pytest.raises(HyperparameterError, match=problem):
        parse(text, "params.toml")


def test_a_file_gives_what_stands_in_it():
    assert parse("[train]\nsize = 64\n[export]\nweights = 'float16'\n", "x") == {
        "train": {"size": 64},
        "export": {"weights": "float16"},
    }


def test_assignments_have_the_types_of_toml():
    given = parse_assignments(["size=64", "learning_rate=1e-3", "flip=false", "direction=BtoA", "gan_mode='hinge'"])
    assert resolve("train", given) == TrainParameters(
        size=64, learning_rate=1e-3, flip=False, direction="BtoA", gan_mode="hinge"
    )
    with pytest.raises(HyperparameterError, match="'size' is not of the form NAME=VALUE"):
        parse_assignments(["size"])


def test_limits_are_totals_and_the_first_one_met_ends_the_training():
    assert resolve("train", {"batch_size": 4}).total_steps(10) == 500
    assert resolve("train", {"max_steps": 30, "max_epochs": 2}).total_steps(10) == 20
    assert resolve("train", {"max_steps": 30}).total_steps(10) == 30
    assert resolve("train", {"max_seconds": 3}).total_steps(10) == 0


def test_rectangles_halve_as_often_as_both_sides_allow():
    assert [resolve("train", {"size": 256, "width": w}).levels for w in (0, 512, 320, 96)] == [8, 8, 6, 5]
    assert resolve("train", {"size": 64, "width": 128}).load_shape == (72, 143)


def test_hyperparameters_and_reports_do_without_tensorflow():
    code = (
        "import sys, pix2pix.hyperparameters, pix2pix.pages.training_report, cli.folders.train; "
        "sys.exit('tensorflow' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
