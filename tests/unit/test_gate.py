"""The gate: which candidates become the model in use, and what is recorded about it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_model import tiny, write_checkpoint, write_pairs

from components.export.gate import is_good_enough
from components.export.stage import STAGE
from components.parameters import ExportPolicy
from components.registry import stage as stage_of
from components.transfer import files_below
from pachyderm.client.commits import Commit, head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import files, read
from pachyderm.client.upload import put
from pachyderm.dag.gate_decision import GateDecision, gate_decision_of
from pachyderm.dag.promotion import promote, rollback
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, MODEL, TRAINING
from pachyderm.dag.revert import revert
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import StageContext, StageOutput
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import REPORT_HTML, read_record
from pix2pix.datasets.held_out import is_held_out
from pix2pix.datasets.pairs import read_pair
from pix2pix.images.codec import encode_png
from pix2pix.inference.comparison import compare_models, difference
from pix2pix.inference.export import export
from pix2pix.inference.manifest import write_manifest
from pix2pix.inference.saved_model import OPTIONS
from pix2pix.inference.translator import Translator
from pix2pix.training import checkpoints

SHARE = 0.5
EXPORTED = {"good": {}, "worse": {"seed": 2}, "larger": {"size": 64, "scale_size": 64}, "nan": {}}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Name -> an exported model: exports of untrained weights, and copies of one of them with another description."""
    folder = tmp_path_factory.mktemp("models")
    for name, changes in EXPORTED.items():
        parameters = tiny(held_out=SHARE, **changes)
        checkpoint = write_checkpoint(folder / "checkpoints" / name, parameters, parameters.seed)
        if name == "nan":
            loaded = checkpoints.read(checkpoint, "generator")
            weights = {key: np.full_like(values, np.nan) for key, values in loaded.arrays["generator"].items()}
            checkpoints.write(checkpoint, replace(loaded, arrays={"generator": weights}))
        export(checkpoint, folder / name)
    described(folder / "good", folder / "equal", note="the same weights in other files")
    described(folder / "worse", folder / "worse too", note="the same weights in other files")
    described(folder / "good", folder / "unmeasured", metrics={})
    trained = json.loads((folder / "good" / "1" / OPTIONS).read_text())["train"]
    described(folder / "good", folder / "mirrored", train={**trained, "direction": "BtoA"})
    return {path.name: path for path in folder.iterdir()}


def described(source: Path, target: Path, **changes: Any) -> None:
    """Copy a model with changes of its description."""
    shutil.copytree(source, target)
    options = target / "1" / OPTIONS
    options.write_text(json.dumps({**json.loads(options.read_text()), **changes}))
    write_manifest(target / "1")


@pytest.fixture(scope="module")
def pairs(models: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], dict[str, Path]]:
    """Pairs whose targets are what the good model makes of their inputs, so that any other model is worse."""
    translate = Translator(models["good"])

    def make(seed: int) -> dict[str, Path]:
        folder = write_pairs(tmp_path_factory.mktemp("pairs"), 8, seed=seed)
        for path in folder.iterdir():
            a, _ = read_pair(path)
            encode_png(np.concatenate([a, translate(a[np.newaxis])[0]], axis=1), path)
        return {f"/{seed}-{path.name}": path for path in folder.iterdir()}

    return make


@dataclass
class GateLab:
    """A store in which any prepared model can be the result of a training."""

    client: Connection
    folder: Path
    models: Mapping[str, Path]
    rounds: int = 0

    def candidate(self, name: str, pairs: Mapping[str, Path], policy: str = "", **own: Mapping[str, Any]) -> Commit:
        """Let a training of pairs result in a model, and export it with the real gate.

        Hyperparameters of its own train on the newest commit, without another.
        """
        self.rounds += 1
        note, toml = self.folder / f"{self.rounds}.txt", self.folder / f"{self.rounds}.toml"
        note.write_text(f"round {self.rounds}")
        toml.write_text(f"[export]\n{policy}\n")
        if not own:
            put(self.client, TRAINING, {**pairs, "/note.txt": note, "/pix2pix.toml": toml}, mirror_under="/")
        trained = replace(stage_of("train"), work=self._trained(name))
        commit, _ = fill_set(self.client, trained, "", own, self._worker())
        return fill_set(self.client, replace(STAGE, work=self._exported), commit.id, {}, self._worker())[0]

    def again(self) -> Commit:
        """Export the newest training once more, which reuses the model."""
        _, commit_set = fill_set(self.client, stage_of("train"), "new", {}, self._worker())
        return fill_set(self.client, STAGE, commit_set, {}, self._worker())[0]

    def revert(self, model: Commit) -> Commit:
        """Revert `training` to a model's data, and export what the revert opens."""
        commit_set = revert(self.client, inspect(self.client, TRAINING.repo, model.id)).commit_set or ""
        for stage in (stage_of("train"), STAGE):
            commit, _ = fill_set(self.client, stage, commit_set, {}, self._worker())
        return commit

    def decision(self, commit: Commit) -> GateDecision:
        """Return the decision that record and metadata agree on."""
        record = read_record(self.client, commit.repo, commit.id)
        assert record is not None and record.gate is not None
        assert gate_decision_of(commit) == record.gate
        assert (head(self.client, MODEL).id == commit.id) == (record.gate.outcome == "promoted")
        return record.gate

    def use(self, commit: Commit) -> None:
        promote(self.client, commit.id, 1.0)

    def _trained(self, name: str) -> Callable[[StageContext], StageOutput]:
        def work(job: StageContext) -> StageOutput:
            (job.scratch / "name.txt").write_text(name)
            held_out = [
                path
                for path in job.inputs[TRAINING.repo].files
                if _is_held_out(read(job.client, TRAINING.repo, job.inputs[TRAINING.repo].commit.id, path) or b"")
            ]
            return StageOutput(
                {"/name.txt": job.scratch / "name.txt"}, held_out=() if name == "unmeasured" else tuple(held_out)
            )

        return work

    def _exported(self, job: StageContext) -> StageOutput:
        name = read(job.client, CHECKPOINT.repo, job.inputs[CHECKPOINT.repo].commit.id, "/name.txt") or b""
        shutil.copytree(self.models[name.decode()], job.scratch / "model")
        return StageOutput(files_below(job.scratch / "model"))

    def _worker(self) -> Worker:
        self.rounds += 1
        return Worker(f"run-{self.rounds}", f"attempt-{self.rounds}", self.folder, lambda done, total, note: None)


@pytest.fixture
def lab(models: Mapping[str, Path], tmp_path: Path) -> Iterator[GateLab]:
    with connect(Target(store=tmp_path / "store")) as client:
        set_up(client)
        yield GateLab(client, tmp_path, models)


def test_a_better_model_replaces_a_worse_one_and_a_worse_one_is_held_back(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]]
) -> None:
    """The second training has other pairs beside the first ones; only those held out by both are measured on."""
    first, both = pairs(1), {**pairs(1), **pairs(2)}
    worse = lab.candidate("worse", first)
    assert str(lab.decision(worse)) == "promoted: no model was in use"
    good = lab.candidate("good", both)
    decision = lab.decision(good)
    held_out = [path for path, file in first.items() if _is_held_out(file.read_bytes())]
    assert (decision.outcome, decision.in_use, decision.shared) == ("promoted", worse.id, True)
    assert 0 < decision.pairs == len(held_out) < len(both)
    assert {f"/{path}" for path in decision.shown} <= set(held_out)
    assert decision.candidate_metrics["l1"] == 0 < 0.1 < decision.in_use_metrics["l1"]
    again = lab.candidate("worse too", both)
    decision = lab.decision(again)
    ours, theirs = decision.candidate_metrics["l1"], decision.in_use_metrics["l1"]
    pairs_of_both = [path for path, file in both.items() if _is_held_out(file.read_bytes())]
    assert str(decision) == f"held back: l1 {ours:.4g} against {theirs:.4g} on {len(pairs_of_both)} pairs"
    assert decision.figures() == {
        "promoted": 0.0,
        **{f"candidate_{name}": value for name, value in decision.candidate_metrics.items()},
        **{f"in_use_{name}": value for name, value in decision.in_use_metrics.items()},
        "compared_pairs": float(decision.pairs),
    }
    assert head(lab.client, MODEL).id == good.id
    report = read(lab.client, again.repo, again.id, REPORT_HTML) or b""
    assert f"<code>pix2pix promote {again.id[:12]}</code>".encode() in report
    assert report.count(b"<img") == 4 * len(decision.shown) > 0
    lab.use(again)
    assert head(lab.client, MODEL).id == again.id


def _is_held_out(content: bytes) -> bool:
    return is_held_out(hashlib.sha256(content).hexdigest(), SHARE)


def test_an_equal_model_is_promoted_and_a_reused_one_is_judged_anew(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]]
) -> None:
    data = pairs(1)
    good = lab.candidate("good", data)
    equal = lab.candidate("equal", data)
    decision = lab.decision(equal)
    assert (decision.outcome, decision.reason[:16]) == ("promoted", "l1 0 against 0 o")
    worse = lab.candidate("worse", data)
    assert lab.decision(worse).outcome == "held back"
    reused = lab.again()
    record = read_record(lab.client, reused.repo, reused.id)
    assert record is not None and record.reused_from == worse.id
    assert lab.decision(reused).in_use == equal.id != good.id
    lab.use(worse)
    assert lab.decision(lab.again()).reason == "its files are those of the model in use"


def test_going_back_to_data_puts_their_model_into_use_again_unless_it_was_rolled_back_from(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]]
) -> None:
    worse = lab.candidate("worse", pairs(1))
    good = lab.candidate("good", {**pairs(1), **pairs(2)})
    assert lab.decision(good).outcome == "promoted"
    back = lab.revert(worse)
    assert str(lab.decision(back)) == f"promoted: its files are those of {worse.id}, which was in use before"
    assert lab.decision(lab.revert(good)).outcome == "promoted"
    promote(lab.client, back.id, 10.0**10)
    rollback(lab.client, good.id, 10.0**10 + 1)
    assert lab.decision(lab.revert(worse)).metric == "l1", "a model that was rolled back from is measured"


@pytest.mark.parametrize("policy", ["if_better", "always", "review"])
def test_a_model_whose_weights_are_not_finite_is_never_promoted(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]], policy: str
) -> None:
    commit = lab.candidate("nan", pairs(1), f'promote = "{policy}"')
    assert str(lab.decision(commit)) == "held back: its weights are not finite"


def test_policies_without_a_measurement_decide_as_they_say(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]]
) -> None:
    data = pairs(1)
    assert str(lab.decision(lab.candidate("good", data, 'promote = "never"'))) == 'held back: promote = "never"'
    assert str(lab.decision(lab.candidate("good", data))) == "promoted: no model was in use"
    assert str(lab.decision(lab.candidate("worse", data, 'promote = "always"'))) == 'promoted: promote = "always"'
    own = lab.candidate("good", data, train={"max_steps": 3})
    assert str(lab.decision(own)) == "held back: its run has its own hyperparameters"


def test_what_cannot_be_compared_is_held_back_with_the_reason(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]]
) -> None:
    data = pairs(1)
    lab.candidate("good", data)
    commit = lab.candidate("mirrored", data)
    reason = "direction BtoA cannot be compared with AtoB of the model in use"
    assert lab.decision(commit).reason == reason
    assert lab.decision(commit).candidate_metrics["l1"] > 0, "the candidate is measured by itself"
    unmeasured = lab.candidate("unmeasured", data)
    assert lab.decision(unmeasured).reason.startswith("no pair is held out ([train] held_out)")
    assert lab.decision(unmeasured).outcome == "held back"
    stranger = lab.candidate("unmeasured", pairs(3), 'promote = "never"')
    lab.use(stranger)
    assert lab.decision(lab.candidate("equal", data)).reason.endswith("pairs, none held out by both models' data")


def test_a_model_of_another_size_is_compared_at_the_candidate_s_size(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]]
) -> None:
    lab.candidate("worse", pairs(1))
    larger = lab.candidate("larger", pairs(1), 'promote = "review"')
    decision = lab.decision(larger)
    assert decision.outcome == "waiting" and decision.pairs > 0
    assert set(decision.candidate_metrics) == set(decision.in_use_metrics) == {"l1", "psnr", "ssim"}
    shown = files(lab.client, larger.repo, larger.id, "/_report/comparison/0/")
    assert [Path(path).name for path in shown] == ["candidate.png", "in-use.png", "input.png", "target.png"]
    report = (read(lab.client, larger.repo, larger.id, REPORT_HTML) or b"").decode()
    assert f"pix2pix review {larger.id[:12]} --approve --by NAME" in report
    assert head(lab.client, CANDIDATE).id == larger.id


def test_a_model_that_pix2pix_did_not_export_is_not_measured(
    lab: GateLab, pairs: Callable[[int], dict[str, Path]]
) -> None:
    data = pairs(1)
    strange = lab.folder / "strange"
    strange.mkdir()
    (strange / "weights.bin").write_bytes(b"x")
    lab.models = {**lab.models, "strange": strange}
    lab.use(lab.candidate("strange", data, 'promote = "never"'))
    assert "was not exported by pix2pix" in lab.decision(lab.candidate("good", data)).reason


@pytest.mark.parametrize(
    ("metric", "tolerance", "ours", "theirs", "good_enough"),
    [
        ("l1", 0.02, 0.080, 0.083, True),
        ("l1", 0.02, 0.083, 0.083, True),
        ("l1", 0.02, 0.0846, 0.083, True),
        ("l1", 0.02, 0.0848, 0.083, False),
        ("l1", 0.0, 0.0831, 0.083, False),
        ("l1", 0.02, 0.0, 0.0, True),
        ("l1", 0.02, 1e-9, 0.0, False),
        ("ssim", 0.02, 0.79, 0.8, True),
        ("ssim", 0.02, 0.78, 0.8, False),
        ("ssim", 0.02, 0.9, 0.8, True),
        ("ssim", 0.02, -0.101, -0.1, True),
        ("ssim", 0.02, -0.11, -0.1, False),
        ("psnr", 0.0, 20.0, 20.1, False),
        ("psnr", 0.02, 20.0, 20.1, True),
        ("l1", 1.0, float("nan"), 0.083, False),
        ("l1", 1.0, float("inf"), 0.083, False),
        ("psnr", 1.0, float("nan"), float("nan"), False),
        ("psnr", 0.02, 20.0, float("nan"), True),
        ("l1", 0.02, 0.5, None, True),
    ],
)
def test_a_candidate_may_be_worse_by_the_tolerance_and_no_more(
    metric: Any, tolerance: float, ours: float, theirs: float | None, good_enough: bool
) -> None:
    assert is_good_enough(ExportPolicy("if_better", metric, tolerance), ours, theirs) == good_enough


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({}, {"size": 64, "scale_size": 64}, ""),
        ({}, {"width": 64}, ""),
        ({}, {"in_channels": 1}, ""),
        ({"labels": True}, {}, ""),
        ({}, {"direction": "BtoA"}, "direction AtoB cannot be compared with BtoA"),
        ({}, {"out_channels": 1}, "out_channels 3 cannot be compared with 1"),
        ({"lab_colorization": True}, {}, "lab_colorization true cannot be compared with false"),
    ],
)
def test_models_of_one_task_are_comparable_whatever_their_size(
    ours: dict[str, Any], theirs: dict[str, Any], words: str
) -> None:
    found = difference(*(SimpleNamespace(trained=tiny(**changes)) for changes in (ours, theirs)))  # type: ignore[arg-type]
    assert found.startswith(words) and bool(found) == bool(words)


def test_a_pair_that_cannot_be_used_is_measured_by_neither(
    models: Mapping[str, Path], pairs: Callable[[int], dict[str, Path]], tmp_path: Path
) -> None:
    for path, file in pairs(1).items():
        shutil.copy(file, tmp_path / path.lstrip("/"))
    Image.new("RGB", (33, 32)).save(tmp_path / "odd.png")
    names = sorted(path.name for path in tmp_path.iterdir())
    good, worse = Translator(models["good"]), Translator(models["worse"])
    found = compare_models(good, worse, tmp_path, names, tmp_path / "shown", show=1)
    assert found.pairs == tuple(name for name in names if name != "odd.png")
    assert found.candidate["l1"] == 0 and found.in_use["l1"] > 0.1
    assert [list(kinds) for kinds in found.shown.values()] == [["input", "in-use", "candidate", "target"]]
