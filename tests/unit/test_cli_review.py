"""`review` and `models`: what they show of candidates, and the verdicts that they take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import pix2pix
from pachyderm_sdk.api import pfs

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag.gate_decision import GATE, GateDecision
from pachyderm.dag.promotion import promote
from pachyderm.dag.repos import CANDIDATE, CHECKPOINT, MODEL, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.dag.verdict import VERDICT, verdict_of
from pachyderm.record.stage_record import REPORT_HTML

Capture = pytest.CaptureFixture[str]
NAMES = {"candidate", "in_use", "metrics", "pairs", "verdict"}
HOSTILE = "\x1b[2J<script>alert(1)</script>\u202e"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)
    return tmp_path / "store"


@pytest.fixture
def client(store: Path) -> Iterator[Connection]:
    with connect(Target(store=store)) as connected:
        set_up(connected)
        yield connected


def model(client: Connection, outcome: Any, reason: str = "l1 0.091 against 0.083 on 14 pairs") -> str:
    """Make a model that the gate decided about; return its id."""
    training = _written(client, TRAINING, {"/a.png": head(client, TRAINING).id.encode()})
    for branch in (CHECKPOINT, CANDIDATE):
        _written(client, branch, {"/m": b"model", REPORT_HTML: b"<html>both models</html>"})
    in_use = head(client, MODEL)
    decision = GateDecision(
        outcome,
        reason,
        "review",
        metric="l1",
        in_use=in_use.id if in_use.provenance else None,
        candidate_metrics={"l1": 0.091},
        in_use_metrics={"l1": 0.083},
        pairs=14,
        shown=("cats/1.png",),
    )
    client.edit_keys(MODEL.repo, training, add={GATE: decision.to_json()})
    return training


def _written(client: Connection, branch: BranchName, files: dict[str, bytes]) -> str:
    commit = client.commit(branch.repo, head(client, branch).id)
    if head(client, branch).state != "open":
        commit = client.pfs.start_commit(branch=client.branch(branch))
    changes = [pfs.ModifyFileRequest(set_commit=commit)]
    for path, content in files.items():
        changes.append(pfs.ModifyFileRequest(delete_file=pfs.DeleteFile(path=path)))
        changes.append(pfs.ModifyFileRequest(add_file=pfs.AddFile(path=path, raw=content)))
    client.pfs.modify_file(iter(changes))
    client.pfs.finish_commit(commit=commit)
    return commit.id


def test_review_shows_figures_and_how_to_decide_and_an_approval_promotes(
    store: Path, client: Connection, capsys: Capture, tmp_path: Path
) -> None:
    commit = model(client, "waiting")
    shown = pix2pix(capsys, "--store", store, "review", "--html", tmp_path / "page.html")
    assert shown.code == 0
    for words in ("waiting: l1 0.091 against 0.083 on 14 pairs", "0.091", "0.083", "cats/1.png", "page.html"):
        assert words in shown.out
    assert f"pix2pix review {commit[:12]} --reject -m WHY --by NAME" in shown.out
    assert (tmp_path / "page.html").read_text() == "<html>both models</html>"
    assert head(client, MODEL).id != commit
    done = pix2pix(
        capsys, "--store", store, "--json", "review", commit[:8], "--approve", "--by", "ann", "-m", "sharper"
    )
    assert done.code == 0
    assert done.document.keys() >= NAMES
    assert (done.document["candidate"], done.document["in_use"], done.document["pairs"]) == (commit, commit, 14)
    assert done.document["metrics"] == {"candidate": {"l1": 0.091}, "in_use": {"l1": 0.083}}
    verdict = done.document["verdict"]
    assert (verdict["verdict"], verdict["by"], verdict["reason"]) == ("approved", "ann", "sharper")
    assert "approved by ann: sharper" in pix2pix(capsys, "--store", store, "log", "model").out
    assert verdict["pictures"] == ["cats/1.png"] and verdict["in_use"] is None
    assert head(client, MODEL).id == commit


def test_a_second_verdict_ends_with_code_2_and_names_the_first(
    store: Path, client: Connection, capsys: Capture
) -> None:
    commit = model(client, "waiting")
    assert pix2pix(capsys, "--store", store, "review", "--reject", "-m", "blurred", "--by", "bob").code == 0
    second = pix2pix(capsys, "--store", store, "review", commit, "--approve", "--by", "ann")
    assert second.code == 2
    assert "gets one: it was rejected by bob: blurred" in second.err
    again = pix2pix(capsys, "--store", store, "promote", commit)
    assert again.code == 2 and "was rejected by bob: blurred" in again.err
    assert head(client, MODEL).id != commit


def test_an_interrupted_approval_is_completed_by_the_same_command(
    store: Path, client: Connection, capsys: Capture
) -> None:
    commit = model(client, "waiting")
    value = (
        f'{{"verdict": "approved", "by": "ann", "reason": "", "time": 1.0, "candidate": "{commit}", "in_use": null}}'
    )
    client.edit_keys(MODEL.repo, commit, add={VERDICT: value})
    assert pix2pix(capsys, "--store", store, "review", commit, "--approve", "--by", "bob").code == 0
    assert head(client, MODEL).id == commit
    kept = verdict_of(inspect(client, MODEL.repo, commit))
    assert kept is not None and kept.by == "ann"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["-m", "good"], "add --approve or --reject"),
        (["--reject", "--by", "ann"], "a rejection needs a reason"),
        (["--approve", "--by", "ann\x07"], "control or invisible"),
        (["--approve", "--by", ""], "give one: --by NAME"),
    ],
)
def test_an_incomplete_verdict_is_one_clear_line_and_code_2(
    store: Path, client: Connection, capsys: Capture, words: list[str], problem: str
) -> None:
    commit = model(client, "waiting")
    result = pix2pix(capsys, "--store", store, "review", *words)
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert problem in result.err
    assert VERDICT not in inspect(client, MODEL.repo, commit).metadata


def test_before_the_first_model_there_is_nothing_to_review(store: Path, client: Connection, capsys: Capture) -> None:
    result = pix2pix(capsys, "--store", store, "review")
    assert (result.code, result.out) == (2, "")
    assert "holds no model; `pix2pix models` lists those that do" in result.err


def test_a_candidate_that_no_gate_judged_is_shown_as_just_that(
    store: Path, client: Connection, capsys: Capture
) -> None:
    _written(client, TRAINING, {"/a.png": b"1"})
    _written(client, CHECKPOINT, {"/m": b"checkpoint"})
    commit = _written(client, CANDIDATE, {"/m": b"model"})
    assert pix2pix(capsys, "--store", store, "review").out.splitlines()[0] == f"candidate model@{commit[:12]}"


def test_a_verdict_on_a_model_in_use_or_on_nothing_ends_with_code_2(
    store: Path, client: Connection, capsys: Capture
) -> None:
    nothing = pix2pix(capsys, "--store", store, "review", "--approve", "--by", "ann")
    assert nothing.code == 2 and "no candidate waits for a verdict" in nothing.err
    commit = model(client, "promoted")
    promote(client, commit, 1.0)
    in_use = pix2pix(capsys, "--store", store, "review", commit, "--reject", "-m", "no", "--by", "ann")
    assert in_use.code == 2 and "is in use, so there is nothing to decide" in in_use.err


def test_hostile_text_in_metadata_is_shown_escaped(store: Path, client: Connection, capsys: Capture) -> None:
    commit = model(client, "waiting", HOSTILE)
    value = {"verdict": "rejected", "by": HOSTILE, "reason": HOSTILE, "time": 1.0, "candidate": commit, "in_use": None}
    client.edit_keys(MODEL.repo, commit, add={VERDICT: json.dumps(value)})
    for command in (("review", commit), ("why", commit), ("lineage", f"model@{commit}")):
        shown = pix2pix(capsys, "--store", store, *command)
        assert shown.code == 0, command
        assert "\x1b" not in shown.out and "\u202e" not in shown.out, command
        assert "\\x1b[2J<script>" in shown.out, command
