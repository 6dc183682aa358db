"""Which model a training begins with, that going back still finds what was made, and that the record names it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from audit import reaches
from stage_harness import StageHarness

from components.train.stage import STAGE
from pachyderm.client.branches import BranchName
from pachyderm.client.changes import changes_of
from pachyderm.client.commits import Commit, inspect
from pachyderm.dag.promotion import promote
from pachyderm.dag.repos import CHECKPOINT, MODEL, TRAINING
from pachyderm.dag.revert import revert
from pachyderm.errors import CommitFailedError
from pachyderm.forecast.outlook import forecast
from pachyderm.forecast.proposal import proposed
from pachyderm.fsck.check import fsck
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Stage, StageContext, StageOutput
from pachyderm.queue.ends import finish_with
from pachyderm.record import parent as parent_module
from pachyderm.record.fingerprints import FINGERPRINT, RECIPE
from pachyderm.record.lineage_backward import backward
from pachyderm.record.lineage_forward import forward
from pachyderm.record.openlineage import events
from pachyderm.record.quarantine import quarantine

AUTO, ALWAYS = '[train]\nwarm_start = "auto"\n', '[train]\nwarm_start = "always"\n'

CHOSEN = {"ngf": 16, "ndf": 16, "batch_size": 1, "max_steps": 5, "evaluation_steps": 1}
CHOSEN |= {"learning_rate": 1e-4, "learning_rate_schedule": "constant", "xla": "off"}
"""What a time budget chooses."""


@dataclass
class WarmLine:
    """Trainings with the real parameters and the real choice of the parent, whose work is one line."""

    harness: StageHarness
    began: list[str] = field(default_factory=list)
    fingerprints: list[str] = field(default_factory=list)
    fail: Callable[[], None] = lambda: None

    def work(self, context: StageContext) -> StageOutput:
        parent = context.start.parent
        self.began.append(parent.commit.id if parent else "")
        self.fingerprints.append(context.fingerprint)
        self.fail()
        out = context.scratch / "weights"
        out.write_text(
            f"{sorted(context.inputs['training'].files)} after {parent.content('/checkpoint/') if parent else ''}"
        )
        return StageOutput({"/checkpoint/generator.npz": out}, held_out=())

    def stages(self) -> dict[str, Stage]:
        stages = self.harness.stages()
        train = replace(
            stages["train"],
            work=self.work,
            resolve=STAGE.resolve,
            continuation=STAGE.continuation,
            choose=lambda context: CHOSEN | {"size": context.parameters.get("size", 64)},
        )
        return {**stages, "train": train}

    def put(self, names: str, parameters: str = AUTO) -> str:
        """Commit one pair for each letter, and the parameters file."""
        files = {f"/{name}.png": name for name in names}
        return self.harness.put(TRAINING, {**files, "/pix2pix.toml": parameters}, mirror=True)

    def fill(self, commit_set: str) -> Commit:
        return fill_set(self.harness.client, self.stages()["train"], commit_set, {}, self.harness.worker())[0]

    def train(self, names: str, parameters: str = AUTO) -> str:
        """Commit pairs and train on them; return the commit set."""
        commit_set = self.put(names, parameters)
        self.fill(commit_set)
        return commit_set

    def parent(self, commit_set: str) -> str | None:
        return self.harness.record(self.harness.output(CHECKPOINT, commit_set)).parent


@pytest.fixture
def line(harness: StageHarness) -> WarmLine:
    return WarmLine(harness)


def test_a_training_begins_with_the_model_of_the_nearest_earlier_commit_and_records_it(line: WarmLine) -> None:
    first, second, third = line.train("ab"), line.train("abc"), line.train("bc")
    assert line.began == ["", first, second]
    record = line.harness.record(line.harness.output(CHECKPOINT, third))
    assert (record.parent, record.notes) == (second, (f"The work began with checkpoint@{second}.",))
    assert record.parts["parent"] and line.harness.output(CHECKPOINT, third).metadata[RECIPE] != record.fingerprint
    assert "no earlier commit of training" in line.harness.record(line.harness.output(CHECKPOINT, first)).notes[0]


def test_a_training_that_is_not_asked_to_begins_from_its_seed(line: WarmLine) -> None:
    line.train("ab", "")
    record = line.harness.record(line.harness.output(CHECKPOINT, line.train("abc", "")))
    assert line.began == ["", ""]
    assert record.parent is None and "parent" not in record.parts and record.notes == ()


def test_the_parent_is_chosen_by_the_data_and_not_the_newest_model(line: WarmLine) -> None:
    first = line.train("ab")
    line.train("xy")
    reverted = revert(line.harness.client, inspect(line.harness.client, "training", first)).commit_set
    assert reverted is not None
    finish_with(line.harness.client, inspect(line.harness.client, "checkpoint", reverted), "superseded: by the next")
    assert line.parent(line.train("abc")) == first


def test_failed_quarantined_and_unreadable_models_and_those_of_own_hyperparameters_are_passed_over(
    line: WarmLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, good = line.harness.client, line.train("abcdef")
    unreadable, damaged = line.train("abcdefg"), line.train("abcdefgh")
    failed = line.put("abcdefgx")
    finish_with(client, inspect(client, "checkpoint", failed), "failed: by hand")
    stage, own = line.stages()["train"], {"train": {"max_steps": 7}}
    fill_set(client, stage, "", own, line.harness.worker())
    quarantine(client, line.harness.output(CHECKPOINT, damaged), "changed by another writer")
    readable = parent_module.readable_record
    monkeypatch.setattr(
        parent_module, "readable_record", lambda c, repo, key: None if key == unreadable else readable(c, repo, key)
    )
    assert line.parent(line.train("abcdefgy")) == good


def test_every_attempt_at_a_commit_begins_with_the_same_model_whatever_was_promoted_or_added(line: WarmLine) -> None:
    first = line.train("ab")
    line.harness.run("export", commit_set=first)
    second = line.train("abc")
    line.harness.run("export", commit_set=second)
    commit_set = line.put("abcd")

    def fail() -> None:
        raise OSError(5, "the node is gone")

    line.fail = fail
    with pytest.raises(OSError, match="node is gone"):
        line.fill(commit_set)
    assert line.harness.head(MODEL).id == second
    promote(line.harness.client, first, 10.0**10)
    line.put("abcde")
    line.fail = lambda: None
    line.fill(commit_set)
    assert line.began[-2:] == [second, second]
    assert line.fingerprints[-2] == line.fingerprints[-1], "so that the second resumes what the first left"


def test_going_back_finds_the_model_that_was_made_whatever_its_parent_and_is_planned_so(line: WarmLine) -> None:
    first, second = line.train("ab"), line.train("abc")
    made = line.harness.record(line.harness.output(CHECKPOINT, second))
    line.train("abcd")
    line.began.clear()
    for names, origin in (("ab", first), ("abc", second)):
        commit_set = line.put(names)
        rows = forecast(line.harness.client, line.stages().__getitem__).stages
        assert [(row.compute, row.reuse) for row in rows if row.stage == "train"] == [(0, 1)]
        record = line.harness.record(line.fill(commit_set))
        assert (record.outcome, record.reused_from) == ("reused", origin)
    assert line.began == []
    assert (record.parent, record.fingerprint, record.parts) == (first, made.fingerprint, made.parts)
    third = line.train("abce")
    assert line.harness.content(line.harness.output(CHECKPOINT, third))["/checkpoint/generator.npz"].endswith(
        f"after {line.harness.record(line.harness.output(CHECKPOINT, third)).parts['parent']}"
    )
    assert fsck(line.harness.client, now=2e9).problems == ()


def test_auto_begins_from_the_seed_with_the_reason_where_the_model_does_not_fit(line: WarmLine) -> None:
    reasons = {
        ("abc", AUTO + "ngf = 32\n"): "ngf = 32 and not 64",
        ("abc", AUTO + "held_out = 0.3\n"): "held_out = 0.3 and not 0.2, so that pairs that it learnt from",
        ("abc", AUTO + "l1_weight = 50\n"): "another objective: l1_weight = 50 and not 100",
        ("axyz", AUTO): "only 1 of the 4 pairs were there",
    }
    for (names, parameters), reason in reasons.items():
        first = line.train("ab")
        record = line.harness.record(line.harness.output(CHECKPOINT, line.train(names, parameters)))
        assert record.parent is None and "parent" not in record.parts
        assert f"does not begin with checkpoint@{first}: " in record.notes[0] and reason in record.notes[0]


def test_always_begins_with_other_pairs_and_ends_in_one_line_where_the_shape_differs_as_planned(line: WarmLine) -> None:
    first = line.train("ab")
    assert line.parent(line.train("xy", ALWAYS + "l1_weight = 50\n")) is not None
    commit_set = line.put("xyz", ALWAYS + "l1_weight = 50\nsize = 128\n")
    (row,) = (row for row in forecast(line.harness.client, line.stages().__getitem__).stages if row.stage == "train")
    with pytest.raises(CommitFailedError) as error:
        line.fill(commit_set)
    assert row.note in str(error.value) and "\n" not in row.note
    assert 'warm_start = "always"' in row.note and "size = 128 x 128 and not 256 x 256" in row.note
    assert first not in row.note, "the parent is the nearest"


def test_open_commits_and_a_put_are_planned_with_the_parents_that_they_will_have(line: WarmLine) -> None:
    line.train("ab")
    line.put("abc", AUTO + "ngf = 32\n")
    folder = line.harness.folder / "put"
    folder.mkdir()
    (folder / "p").write_text(ALWAYS + "ngf = 16\n")
    branch: BranchName = TRAINING
    changes = changes_of(line.harness.client, branch, {"/pix2pix.toml": folder / "p"})
    proposal = proposed(line.harness.client, branch, changes)
    policies = lambda pipeline, _: "every"  # noqa: E731
    rows = forecast(line.harness.client, line.stages().__getitem__, proposal, policies).stages
    first, second = (row for row in rows if row.stage == "train")
    assert (first.compute, first.note) == (1, "")
    assert "ngf = 16 and not 32" in second.note, "the model that the open commit will have"


def test_the_parent_is_compared_with_what_a_time_budget_chose(line: WarmLine) -> None:
    budget = ALWAYS + "minutes = 10\n"
    first = line.train("ab", budget)
    second = line.put("abc", budget)
    (row,) = (row for row in forecast(line.harness.client, line.stages().__getitem__).stages if row.stage == "train")
    assert (row.compute, row.note) == (1, ""), "nothing is chosen yet"
    line.fill(second)
    assert line.parent(second) == first
    with pytest.raises(CommitFailedError, match="size = 128 x 128 and not 64 x 64"):
        line.train("abcd", budget + "size = 128\n")


def test_lineage_leads_from_a_model_to_the_data_of_its_parents_and_from_these_to_it(line: WarmLine) -> None:
    first, second, third = line.train("ab"), line.train("abc"), line.train("bcd")
    client = line.harness.client
    graph = backward(client, line.harness.output(CHECKPOINT, third))
    assert {f"training@{entry}" for entry in (first, second, third)} <= reaches(graph, graph.start)
    assert [edge.source for edge in graph.sources(graph.start) if edge.relation == "begun with"] == [
        f"checkpoint@{second}"
    ]
    inputs = [entry["inputs"] for entry in events(graph, "here") if f"{third}" in str(entry["outputs"])]
    assert [dataset["name"] for dataset in inputs[0]] == ["training", "checkpoint"]
    ahead = forward(client, inspect(client, "training", first), "/a.png")
    assert f"checkpoint@{third}" in ahead.nodes, "it learnt from the pair, which its own commit lacks"


def test_fsck_restores_the_metadata_by_which_going_back_finds_the_model(line: WarmLine) -> None:
    line.train("ab")
    second = line.harness.output(CHECKPOINT, line.train("abc"))
    line.harness.client.edit_keys("checkpoint", second.id, put={RECIPE: "0" * 64})
    found = fsck(line.harness.client, now=2e9, repair=True)
    assert [entry.problem.code for entry in found.repaired] == ["FINGERPRINT_METADATA"]
    restored = line.harness.output(CHECKPOINT, second.id).metadata
    assert (restored[RECIPE], restored[FINGERPRINT]) == (second.metadata[RECIPE], second.metadata[FINGERPRINT])
