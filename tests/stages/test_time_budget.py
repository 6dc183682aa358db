"""A time budget in the loop: chosen once for equal requests, whatever the speed of the machines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from stage_harness import StageHarness

from components.parameters import parse_own
from components.train.stage import STAGE, effort
from components.train.trainjob.delegate import delegated
from components.train.trainjob.nodes import Nodes
from pachyderm.client.commits import Commit, inspect
from pachyderm.dag.repos import CHECKPOINT, TRAINING
from pachyderm.dag.revert import revert
from pachyderm.errors import CommitFailedError, PermanentError
from pachyderm.forecast.outlook import forecast
from pachyderm.forecast.stage_forecast import StageForecast
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Stage, StageContext, StageOutput
from pachyderm.record.explain import explain
from pachyderm.record.fingerprints import CHOSEN

REQUEST = "[train]\nminutes = 2\nngf = 8\n"
CHOICE = {
    "size": 64,
    "ndf": 16,
    "batch_size": 4,
    "max_steps": 100,
    "learning_rate": 4e-4,
    "learning_rate_schedule": "linear",
    "evaluation_steps": 10,
    "xla": "off",
}


class Trainer:
    """The train stage with its real parameters, on machines of any speed.

    Attributes:
        speed: steps that the next choice takes.
        chosen: what was given, of each choice.
        trained: steps of each work.
        fail: whether the next work is interrupted.
    """

    def __init__(self, harness: StageHarness) -> None:
        self.harness = harness
        self.speed, self.fail = 100, False
        self.chosen: list[Mapping[str, Any]] = []
        self.trained: list[int] = []

    @property
    def stage(self) -> Stage:
        return replace(
            self.harness.stages()["train"], resolve=STAGE.resolve, work=self.work, choose=self.choose, effort=effort
        )

    def choose(self, context: StageContext) -> Mapping[str, Any]:
        self.chosen.append(context.parameters)
        return {**CHOICE, "max_steps": self.speed}

    def work(self, context: StageContext) -> StageOutput:
        self.trained.append(context.parameters.max_steps)
        if self.fail:
            raise OSError(5, "the node is gone")
        out = context.scratch / "weights"
        out.write_text(str(context.parameters))
        return StageOutput({"/weights": out})

    def fill(self, commit_set: str) -> Commit:
        return fill_set(self.harness.client, self.stage, commit_set, {}, self.harness.worker())[0]

    def foreseen(self, name: str) -> Stage:
        return self.stage if name == "train" else self.harness.stages()[name]


@pytest.fixture
def trainer(harness: StageHarness) -> Trainer:
    return Trainer(harness)


def put(trainer: Trainer, text: str = "A", request: str = REQUEST) -> str:
    return trainer.harness.put(TRAINING, {"/a.png": text, "/pix2pix.toml": request}, mirror=True)


def test_the_record_holds_the_request_and_what_was_chosen(trainer: Trainer) -> None:
    record = trainer.harness.record(trainer.fill(put(trainer)))
    assert record.parameters_from_origin("file") == {"minutes": 2.0, "ngf": 8}
    assert record.parameters_from_origin("budget") == CHOICE
    assert trainer.chosen == [{"minutes": 2, "ngf": 8}]


def test_a_run_gives_a_budget_like_any_other_hyperparameter(trainer: Trainer) -> None:
    trainer.fill(put(trainer, request=""))
    own = parse_own("train.minutes = 2\nngf = 8", TRAINING.repo)
    commit, _ = fill_set(trainer.harness.client, trainer.stage, "", own, trainer.harness.worker())
    record = trainer.harness.record(commit)
    assert record.parameters_from_origin("run") == {"minutes": 2.0, "ngf": 8}
    assert record.parameters_from_origin("budget") == CHOICE


def test_a_retry_continues_with_what_the_first_attempt_chose(trainer: Trainer) -> None:
    set_id = put(trainer)
    trainer.fail = True
    with pytest.raises(OSError, match="the node is gone"):
        trainer.fill(set_id)
    trainer.fail, trainer.speed = False, 5000
    keep = sorted(path.name for path in (trainer.harness.folder / "scratch" / "keep").iterdir())
    record = trainer.harness.record(trainer.fill(set_id))
    assert trainer.trained == [100, 100] and len(trainer.chosen) == 1
    assert keep == [record.fingerprint], "the unfinished work is found under the fingerprint of what was chosen"


def test_an_equal_request_takes_the_finished_model_over_on_a_machine_of_any_speed(trainer: Trainer) -> None:
    first = trainer.fill(put(trainer))
    trainer.fill(put(trainer, "B"))
    trainer.speed = 5000
    revert(trainer.harness.client, trainer.harness.output(TRAINING, first.id))
    again = trainer.fill("")
    assert trainer.harness.record(again).outcome == "reused"
    assert trainer.harness.content(again) == trainer.harness.content(first)
    assert trainer.harness.record(again).fingerprint == trainer.harness.record(first).fingerprint
    assert trainer.trained == [100, 100]


def test_another_request_or_other_data_are_measured_anew(trainer: Trainer) -> None:
    trainer.fill(put(trainer))
    trainer.speed = 5000
    trainer.fill(put(trainer, "A", REQUEST.replace("8", "16")))
    trainer.fill(put(trainer, "B"))
    assert trainer.trained == [100, 5000, 5000]
    trainer.fill(put(trainer, "A", f'{REQUEST}learning_rate_schedule = "inverse_sqrt"\n'))
    assert len(trainer.chosen) == 4, "a default that is given is not left to the budget"


def test_the_attempt_that_chose_first_decides_where_two_chose(trainer: Trainer) -> None:
    set_id = put(trainer)

    def slow(context: StageContext) -> Mapping[str, Any]:
        if not trainer.trained:
            trainer.fill(set_id)  # by the next attempt of the run, which takes over meanwhile
        return {**CHOICE, "max_steps": 7}

    late = replace(trainer.stage, choose=slow)
    fill_set(trainer.harness.client, late, set_id, {}, trainer.harness.worker())
    assert trainer.trained == [100, 100], "the late attempt goes on with the choice of the other one"
    metadata = inspect(trainer.harness.client, CHECKPOINT.repo, set_id).metadata
    assert next(value for key, value in metadata.items() if key.startswith(CHOSEN)).count("100") == 1


def test_a_choice_that_somebody_damaged_is_made_anew(trainer: Trainer) -> None:
    first = put(trainer)
    trainer.fail = True
    with pytest.raises(OSError, match="the node is gone"):
        trainer.fill(first)
    commit = inspect(trainer.harness.client, CHECKPOINT.repo, first)
    (key,) = [key for key in commit.metadata if key.startswith(CHOSEN)]
    for damage in ("{", '{"size": 65}'):
        trainer.harness.client.edit_keys(commit.repo, commit.id, put={key: damage})
        with pytest.raises(OSError, match="the node is gone"):
            trainer.fill(first)
    assert trainer.trained == [100, 100, 100] and len(trainer.chosen) == 3
    trainer.fail = False
    assert trainer.fill(first).state == "good" and len(trainer.chosen) == 3


def expected(trainer: Trainer) -> list[StageForecast]:
    rows = forecast(trainer.harness.client, trainer.foreseen).stages
    return [row for row in rows if row.stage == "train"]


def test_a_plan_forecasts_the_minutes_and_then_the_reuse(trainer: Trainer) -> None:
    set_id = put(trainer)
    assert [(row.compute, row.seconds) for row in expected(trainer)] == [(1, 120.0)]
    trainer.fill(set_id)
    put(trainer, "B")
    assert [row.seconds for row in expected(trainer)] == [120.0]
    trainer.fill("")
    put(trainer)
    assert [(row.compute, row.reuse) for row in expected(trainer)] == [(0, 1)]
    assert len(trainer.chosen) == 2


def test_why_shows_what_was_chosen_while_the_training_runs_and_afterwards(trainer: Trainer) -> None:
    set_id = put(trainer)
    trainer.fail = True
    with pytest.raises(OSError, match="the node is gone"):
        trainer.fill(set_id)
    running = explain(trainer.harness.client, set_id, 0.0).commits[0]
    assert running.chosen == CHOICE
    trainer.fail = False
    trainer.fill(set_id)
    finished = explain(trainer.harness.client, set_id, 0.0).commits[0]
    assert (finished.given, finished.chosen) == ({"minutes": 2.0, "ngf": 8}, CHOICE)


def test_a_budget_that_is_too_small_ends_the_commit_with_the_reason(trainer: Trainer) -> None:
    def refuse(context: StageContext) -> Mapping[str, Any]:
        raise PermanentError("minutes = 0.01 is too small for one evaluation")

    set_id = put(trainer)
    with pytest.raises(CommitFailedError, match="too small for one evaluation"):
        fill_set(trainer.harness.client, replace(trainer.stage, choose=refuse), set_id, {}, trainer.harness.worker())


def test_a_budget_is_refused_for_several_nodes_whose_speed_is_unknown(trainer: Trainer) -> None:
    several = delegated(trainer.stage, Nodes(2, "", "", {}), {"PACHD_ADDRESS": "grpc://127.0.0.1:1"})
    set_id = put(trainer)
    with pytest.raises(CommitFailedError, match="set nodes to 1, or minutes to 0 and max_steps"):
        fill_set(trainer.harness.client, several, set_id, {}, trainer.harness.worker())
    assert trainer.trained == []
