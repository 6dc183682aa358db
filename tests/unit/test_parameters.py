"""Parameters as data: the origin of each value, and the refusal of invalid ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.form import UNSET
from components.parameters import ExportPolicy, of_pipeline, parse_own, resolver
from components.resize.stage import STAGE
from components.task import perform
from pachyderm.client.connection import Target, connect
from pachyderm.dag.setup import set_up
from pachyderm.errors import PermanentError, RequestError
from pix2pix.errors import HyperparameterError
from pix2pix.hyperparameters import check_value

train = resolver("training", "train")
export = resolver("training", "export")


def test_the_run_wins_over_the_file_and_the_file_over_the_default() -> None:
    text = "[train]\nmax_steps = 5\nbatch_size = 2\n"
    resolved = train(text, {"train": {"batch_size": 3}}, "training@x:/pix2pix.toml")
    recorded = {name: (parameter.value, parameter.origin) for name, parameter in resolved.parameters.items()}
    assert recorded["max_steps"] == (5, "file")
    assert recorded["batch_size"] == (3, "run")
    assert recorded["ngf"] == (64, "default")
    assert (resolved.values.max_steps, resolved.values.batch_size) == (5, 3)


def test_without_a_file_the_defaults_count_and_a_model_is_promoted_if_it_is_better() -> None:
    resolved = export(None, {}, "here")
    assert resolved.policy == ExportPolicy("if_better", "l1", 0.02)
    assert {parameter.origin for parameter in resolved.parameters.values()} == {"default"}


def test_promote_is_no_parameter_of_the_model() -> None:
    text = '[export]\npromote = "never"\npromote_metric = "ssim"\npromote_tolerance = 0\nversion = 2\n'
    resolved = export(text, {}, "here")
    assert resolved.policy == ExportPolicy("never", "ssim", 0.0)
    assert resolved.values.version == 2
    assert not [name for name in resolved.parameters if name.startswith("promote")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("max_steps = 5", ["max_steps", "[train]"]),
        ("[train", ["not valid TOML: line 1, column 7", "expected a section"]),
        ("[train]\nmax_stepz = 5", ["line 2, column 1: ", "max_stepz", "max_steps"]),
        ("[train]\nbatch_size = 0", ["line 2, column 1: batch_size", "a whole number"]),
        ("[train]\nbatch_size = 'two'", ["batch_size"]),
        ("[resize]\nsize = 64", ["line 1, column 2: ", "resize", "[train]", "[export]"]),
        ('[export]\npromote = "sometimes"', ["line 2, column 1: promote", "always, if_better, review, never"]),
        ("[export]\npromote_metric = 'fid'", ["line 2, column 1: promote_metric = 'fid'", "l1, ssim, psnr"]),
        ("[export]\nversion = 1\npromote_tolerance = 2", ["line 3, column 1: promote_tolerance = 2", "from 0 to 1"]),
        ("[export]\npromote_tolerance = nan", ["promote_tolerance = nan", "from 0 to 1"]),
        ("[export]\npromote_tolerance = '5%'", ["promote_tolerance = '5%'", "from 0 to 1"]),
        ("[export]\nnosuch = 1", ["nosuch"]),
    ],
)
def test_a_wrong_file_is_hopeless_and_the_error_names_file_value_and_what_is_allowed(
    text: str, words: list[str]
) -> None:
    with pytest.raises(PermanentError) as caught:
        train(text, {}, "training@abc:/pix2pix.toml")
    for word in ["training@abc:/pix2pix.toml", "commit a corrected file", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "text", ["max_steps = 5", "train.max_steps = 5", "[train]\nmax_steps = 5", '{"train": {"max_steps": 5}}']
)
def test_a_run_gives_its_own_in_several_forms(text: str) -> None:
    assert parse_own(text, "training") == {"train": {"max_steps": 5}}


def test_nothing_given_is_nothing() -> None:
    assert parse_own("") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("size = 64", ["several sections", "resize.size", "generate.size"]),
        ("nosuch = 1", ["nosuch", "batch_size"]),
        ("wokers = 1", ["did you mean workers?"]),
        ("resise.size = 1", ["did you mean resize?"]),
        ("resize.size = -1", ["size"]),
        ("train.max_steps = 1", ["train", "resize, generate"]),
        ("size", ["cannot be parsed"]),
    ],
)
def test_a_run_s_own_are_refused_by_name(text: str, words: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        parse_own(text, "input_images")
    for word in words:
        assert word in str(caught.value)


def test_a_field_of_the_form_is_a_hyperparameter_of_training_and_an_unset_one_is_none() -> None:
    assert parse_own("", fields=UNSET) == {}, "nothing given: no fresh commit set"
    assert parse_own("", "training", {**UNSET, "max_steps": 0, "gan_mode": "lsgan"}) == {
        "train": {"max_steps": 0, "gan_mode": "lsgan"}
    }
    both = parse_own("train.flip = false\nresize.size = 64", fields={**UNSET, "size": 128, "learning_rate": 1.0})
    assert both == {"train": {"flip": False, "size": 128, "learning_rate": 1.0}, "resize": {"size": 64}}
    # Valid only together.
    assert parse_own('learning_rate_schedule = "linear"', fields={**UNSET, "max_steps": 9})["train"]["max_steps"] == 9


@pytest.mark.parametrize("name", UNSET)
def test_the_unset_value_of_a_field_is_no_value_of_its_hyperparameter(name: str) -> None:
    with pytest.raises(HyperparameterError):
        check_value("train", name, UNSET[name])


@pytest.mark.parametrize(
    ("text", "fields", "words"),
    [
        ("", {"size": 5}, ["size = 5", "32 to 1024", "-1 takes the parameters file's"]),
        ("", {"size": 100}, ["size 100 x 100", "powers of two"]),
        ("", {"learning_rate": float("nan")}, ["learning_rate = nan"]),
        ("", {"gan_mode": "wgan"}, ["gan_mode = 'wgan'", "vanilla, lsgan, hinge", "an empty field takes"]),
        ("train.seed = 3", {"seed": 4}, ["seed is given twice: 4 in its own field, 3 in hyperparameters"]),
    ],
)
def test_a_wrong_field_is_refused_by_name(text: str, fields: dict[str, object], words: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        parse_own(text, fields={**UNSET, **fields})
    for word in words:
        assert word in str(caught.value)


def test_a_wrong_field_ends_the_task_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIX2PIX_STORE", str(tmp_path))
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    with connect(Target(store=tmp_path)) as client:
        set_up(client)
    with pytest.raises(SystemExit, match=r"^resize: hyperparameters: seed = -2 cannot be used; allowed: [^\n]*$"):
        perform(STAGE, "", "", "run", "report.html", None, seed=-2)


def test_each_pipeline_takes_its_own_part() -> None:
    both = parse_own("train.max_steps = 1\nresize.size = 64")
    assert of_pipeline(both, "training") == {"train": {"max_steps": 1}}
    assert of_pipeline(both, "input_images") == {"resize": {"size": 64}}


def test_a_run_of_its_own_may_say_that_its_model_is_not_promoted_and_no_more() -> None:
    own = parse_own('export.promote = "never"', "training")
    assert "promote" not in export(None, own, "here").parameters
    for wrong in ('promote = "always"', 'promote = "sometimes"', "promote_tolerance = 0.5"):
        with pytest.raises(RequestError, match="promoted by hand"):
            parse_own(f"export.{wrong}", "training")
