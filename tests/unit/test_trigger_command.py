"""`pix2pix trigger`: each problem that --check finds is one line with its exit code; signals stop it cleanly."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
from command_line import CommandResult, pix2pix

sys.path.append(str(Path(__file__).parent.parent / "trigger"))
from fake_kubeflow import FakeKubeflow

from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import TRAINING
from workflows.daemon import signals
from workflows.trigger.controller import Controller


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PACHD_ADDRESS", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def checked(capsys: pytest.CaptureFixture[str], folder: Path, endpoint: str, settings: str = "") -> CommandResult:
    """Run ``trigger --check`` on a store that is set up."""
    store, file, token = folder / "store", folder / "trigger.toml", folder / "token"
    token.write_text("bad")
    file.write_text(
        f'runner = "kubeflow"\n[kubeflow]\nendpoint = "{endpoint}"\ntoken_file = "{token}"\n'
        f'[lease]\nname = ""\n{settings}'
    )
    pix2pix(capsys, "--store", store, "setup")
    return pix2pix(capsys, "--store", store, "trigger", "--check", "--config", file)


def test_valid_settings_pass(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubeflow() as fake:
        result = checked(capsys, tmp_path, fake.url, '[kubeflow.arguments.training_and_export]\ngpus = "1"\n')
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == ["Pachyderm: good", "pipelines: good", "Kubeflow: good"]


def test_an_unknown_pipeline_argument_is_one_line_and_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = checked(capsys, tmp_path, "http://127.0.0.1:1", '[kubeflow.arguments.training_and_export]\ngpu = "1"\n')
    assert result.code == 2
    (line,) = result.err.splitlines()
    assert (
        "unknown setting kubeflow.arguments.training_and_export.gpu (did you mean gpus?); allowed: cpu, gpu_type, gpus"
        in line
    )


def test_a_refused_token_is_one_line_and_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubeflow(token="good") as fake:
        result = checked(capsys, tmp_path, fake.url)
    assert result.code == 3
    (line,) = result.err.splitlines()
    assert line.startswith(f"pix2pix: Kubeflow at {fake.url} refuses the token (401")


def test_an_unreachable_kubeflow_is_one_line_and_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubeflow() as fake:
        pass
    result = checked(capsys, tmp_path, fake.url)
    assert result.code == 3
    (line,) = result.err.splitlines()
    assert line.startswith(f"pix2pix: Kubeflow at {fake.url} does not answer: ")


def test_with_json_logs_messages_for_people_are_json_lines_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = tmp_path / "store", tmp_path / "trigger.toml"
    file.write_text('log = "json"\n')
    pix2pix(capsys, "--store", store, "setup")
    with connect(Target(store=store)) as client:
        client.pfs.start_commit(branch=client.branch(TRAINING))
    result = pix2pix(capsys, "--store", store, "trigger", "--once", "--config", file)
    assert result.code == 0
    assert any("is left" in json.loads(line)["message"] for line in result.err.splitlines())


def stopped(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    numbers: list[int],
    *options: str,
) -> CommandResult:
    """Run ``trigger`` and send it these signals at the start of its first poll."""
    poll = Controller.poll

    def polled(self: Controller) -> object:
        for number in numbers:
            signal.raise_signal(number)
        return poll(self)

    monkeypatch.setattr(Controller, "poll", polled)
    # The watchdog would end this process, which runs the tests.
    monkeypatch.setattr(signals, "end_process", lambda seconds: None)
    pix2pix(capsys, "--store", tmp_path / "store", "setup")
    return pix2pix(capsys, "--store", tmp_path / "store", "trigger", *options)


def test_a_trigger_that_stops_cleanly_on_sigterm_exits_with_0(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = stopped(tmp_path, capsys, monkeypatch, [signal.SIGTERM])
    assert result.code == 0
    assert result.err.splitlines()[-1] == "stopped by SIGTERM; the next trigger resumes from here"


@pytest.mark.parametrize(
    ("numbers", "options"),
    [
        ([signal.SIGINT], []),
        ([signal.SIGTERM], ["--once"]),
    ],
    ids=["Ctrl-C", "requested work left undone"],
)
def test_an_interrupted_trigger_reports_it_and_exits_with_130(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    numbers: list[int],
    options: list[str],
) -> None:
    result = stopped(tmp_path, capsys, monkeypatch, numbers, *options)
    assert result.code == 130
    assert "interrupted" in result.err.splitlines()[-1]
