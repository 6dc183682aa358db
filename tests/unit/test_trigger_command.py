"""What `pix2pix trigger --check` tells: each mistake in one line, with the exit code that says whose it is."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
from pathlib import Path

import pytest
from command_line import Said, pix2pix

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


def checked(capsys: pytest.CaptureFixture[str], folder: Path, endpoint: str, settings: str = "") -> Said:
    """The answer to ``trigger --check`` on a store that is set up."""
    store, file, token = folder / "store", folder / "trigger.toml", folder / "token"
    token.write_text("bad")
    file.write_text(
        f'runner = "kubeflow"\n[kubeflow]\nendpoint = "{endpoint}"\ntoken_file = "{token}"\n'
        f'[lease]\nname = ""\n{settings}'
    )
    pix2pix(capsys, "--store", store, "setup")
    return pix2pix(capsys, "--store", store, "trigger", "--check", "--config", file)


def test_settings_that_hold_are_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubeflow() as fake:
        said = checked(capsys, tmp_path, fake.url, '[kubeflow.arguments.training_and_export]\ngpus = "1"\n')
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == ["Pachyderm: good", "pipelines: good", "Kubeflow: good"]


def test_an_argument_that_the_pipeline_lacks_is_one_line_and_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = checked(capsys, tmp_path, "http://127.0.0.1:1", '[kubeflow.arguments.training_and_export]\ngpu = "1"\n')
    assert said.code == 2
    (line,) = said.err.splitlines()
    assert (
        "unknown setting kubeflow.arguments.training_and_export.gpu (did you mean gpus?); allowed: cpu, gpu_type, gpus"
        in line
    )


def test_a_token_that_is_refused_is_one_line_and_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubeflow(token="good") as fake:
        said = checked(capsys, tmp_path, fake.url)
    assert said.code == 3
    (line,) = said.err.splitlines()
    assert line.startswith(f"pix2pix: Kubeflow at {fake.url} refuses the token (401")


def test_a_kubeflow_that_is_not_there_is_one_line_and_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with FakeKubeflow() as fake:
        pass
    said = checked(capsys, tmp_path, fake.url)
    assert said.code == 3
    (line,) = said.err.splitlines()
    assert line.startswith(f"pix2pix: Kubeflow at {fake.url} does not answer: ")


def test_with_json_logs_what_a_person_would_read_is_a_line_of_json_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, file = tmp_path / "store", tmp_path / "trigger.toml"
    file.write_text('log = "json"\n')
    pix2pix(capsys, "--store", store, "setup")
    with connect(Target(store=store)) as client:
        client.pfs.start_commit(branch=client.branch(TRAINING))
    said = pix2pix(capsys, "--store", store, "trigger", "--once", "--config", file)
    assert said.code == 0
    assert any("is left" in json.loads(line)["message"] for line in said.err.splitlines())


def stopped(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    numbers: list[int],
    *options: str,
) -> Said:
    """The answer to ``trigger`` that gets these signals, the first of them at the end of its first poll."""
    poll = Controller.poll

    def polled(self: Controller) -> object:
        result = poll(self)
        for number in numbers[:-1]:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(number)
        signal.raise_signal(numbers[-1])
        return result

    monkeypatch.setattr(Controller, "poll", polled)
    # The watchdog would end this process, and with it the tests.
    monkeypatch.setattr(signals, "end_process", lambda seconds: None)
    pix2pix(capsys, "--store", tmp_path / "store", "setup")
    return pix2pix(capsys, "--store", tmp_path / "store", "trigger", *options)


def test_a_trigger_that_stops_cleanly_at_sigterm_has_not_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = stopped(tmp_path, capsys, monkeypatch, [signal.SIGTERM])
    assert said.code == 0
    assert said.err.splitlines()[-1] == "stopped by SIGTERM; the next trigger goes on from here"


@pytest.mark.parametrize(
    ("numbers", "options"),
    [
        ([signal.SIGINT], []),
        ([signal.SIGTERM], ["--once"]),
    ],
    ids=["Ctrl-C", "work that was asked for is left"],
)
def test_a_trigger_that_is_interrupted_says_so(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    numbers: list[int],
    options: list[str],
) -> None:
    said = stopped(tmp_path, capsys, monkeypatch, numbers, *options)
    assert said.code == 130
    assert "interrupted" in said.err.splitlines()[-1]
