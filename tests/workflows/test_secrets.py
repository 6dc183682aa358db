"""Tokens and cookies are used, and appear in no message, log, record, compiled pipeline or command line."""

from __future__ import annotations

import logging
import os
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import psutil
import pytest
from trivial_pipelines import compile_all

sys.path.extend(str(Path(__file__).parent.parent / folder) for folder in ("trigger", "unit", "stages"))
from command_line import pix2pix
from fake_kubeflow import FakeKubeflow
from stage_harness import StageHarness

from cli.options import Session
from cli.system import doctor_checks
from pachyderm.client.connection import Target, connect
from pachyderm.dag.repos import TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.store.rpc.server import StoreServer
from workflows.compile import compile_all as compile_pipelines
from workflows.errors import RunInputError
from workflows.runners.kubeflow_api import Access
from workflows.runners.local import LocalRunner, child_environment
from workflows.runners.runner import RunKey
from workflows.settings.configuration import load
from workflows.trigger.wiring import TriggerContext

PLANTED = "planted-5f0c1d"
PACH_TOKEN, BEARER, COOKIE = f"{PLANTED}-pachyderm", f"{PLANTED}-bearer", f"{PLANTED}-cookie"

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plant the secrets where people put them: the environment, and a token file."""
    for name in ("PACHD_ADDRESS", "KF_PIPELINES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setenv("PACH_TOKEN", PACH_TOKEN)
    monkeypatch.setenv("PIX2PIX_TRIGGER_KUBEFLOW_COOKIES", f"session={COOKIE}")
    (tmp_path / "bearer").write_text(BEARER)
    monkeypatch.setattr(doctor_checks, "gpu", lambda **_: iter(()))


class WatchedKubeflow(FakeKubeflow):
    """Records the credentials of each request."""

    def __init__(self, token: str) -> None:
        self.seen: set[str] = set()
        super().__init__(token=token)

    def _authenticate(self, handler: BaseHTTPRequestHandler) -> None:
        self.seen |= {str(handler.headers.get("Authorization")), str(handler.headers.get("Cookie"))}
        super()._authenticate(handler)


def test_no_object_that_holds_a_secret_shows_it(tmp_path: Path) -> None:
    target = Session().target()
    configuration = load(None, dict(os.environ))
    access = Access(cookies=configuration.kubeflow.cookies)
    assert (target.token, access.cookies) == (PACH_TOKEN, f"session={COOKIE}")
    context = TriggerContext(target, tmp_path, "me", print)
    with connect(Target(store=tmp_path / "store", token=PACH_TOKEN)) as client:
        for holder in (target, configuration, configuration.kubeflow, access, context, client):
            assert PLANTED not in f"{holder!r} {holder}"


@pytest.mark.parametrize(
    "content",
    [
        f"[kubeflow]\ncookies = session={COOKIE}\n",
        f'[kubeflow]\n"cookies" = [\n  "{COOKIE}"\n',
        f'[kubeflow]\ncookies = ["{COOKIE}"]\n',
        f'[kubeflow]\ncookies = {{session = "{COOKIE}"}}\n',
    ],
)
def test_a_wrong_setting_is_reported_without_the_secret(content: str, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "trigger.toml"
    file.write_text(content)
    with pytest.raises(RunInputError, match=r"line|cookies"):
        load(file, {})
    result = pix2pix(capsys, "-vv", "trigger", "--once", "--config", file)
    assert result.code == 2
    assert PLANTED not in result.out + result.err


@pytest.mark.parametrize("accepted", [True, False])
def test_doctor_and_the_trigger_show_no_secret_however_verbose(
    accepted: bool, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = StoreServer(tmp_path / "store", "127.0.0.1:0")
    address = f"grpc://{server.start()}"
    try:
        with connect(Target(pachd=address)) as client:
            set_up(client)
        with WatchedKubeflow(BEARER if accepted else "another") as fake:
            monkeypatch.setenv("PIX2PIX_TRIGGER_KUBEFLOW_ENDPOINT", fake.url)
            monkeypatch.setenv("PIX2PIX_TRIGGER_KUBEFLOW_TOKEN_FILE", str(tmp_path / "bearer"))
            for words in (("doctor",), ("doctor", "--json"), ("trigger", "--runner", "kubeflow", "--check")):
                for pachd in (address, "grpc://127.0.0.1:1"):
                    result = pix2pix(capsys, "-vv", "--pachd", pachd, "--store", tmp_path / "folder", *words)
                    assert result.out or result.err
                    assert PLANTED not in result.out + result.err, words
            assert fake.seen >= {f"Bearer {BEARER}", f"session={COOKIE}"}
    finally:
        server.stop()
    assert PLANTED not in caplog.text


def test_command_lines_and_files_of_a_local_run_hold_no_secret(tmp_path: Path) -> None:
    go = tmp_path / "go"
    environment = child_environment(
        Target(store=tmp_path / "store", token=PACH_TOKEN), tmp_path / "scratch", os.environ
    )
    assert environment["PACH_TOKEN"] == PACH_TOKEN
    runner = LocalRunner(tmp_path / "runs", environment, compile_all(tmp_path))
    key = RunKey("trivial", "0" * 32, 1)
    try:
        runner.start(key, {"hyperparameters": f"mark={tmp_path / 'mark'},wait={go}"})
        while not (tmp_path / "mark").exists():
            runner.poll()
            assert not runner.find(key)[0].over
        children = psutil.Process().children(recursive=True)
        assert len(children) >= 2
        for process in children:
            assert PLANTED not in " ".join(process.cmdline()), process
        go.touch()
        while not runner.find(key)[0].over:
            runner.poll()
    finally:
        runner.close()
    require_absent(tmp_path / "runs")


def test_records_and_the_store_hold_no_secret(tmp_path: Path) -> None:
    target = Target(store=tmp_path / "store", token=PACH_TOKEN)
    with connect(target) as client:
        set_up(client)
        harness = StageHarness(client, target, tmp_path)
        harness.put(TRAINING, {"/a.png": "A", "/pix2pix.toml": "size=32"})
        harness.run("train", "export")
        assert client.auth_token == PACH_TOKEN
    require_absent(tmp_path)


@pytest.mark.long
def test_compiled_pipelines_hold_no_secret_of_the_machine_that_compiles(tmp_path: Path) -> None:
    (tmp_path / "compiled").mkdir()
    assert len(compile_pipelines(tmp_path / "compiled")) == 3
    require_absent(tmp_path / "compiled")


def require_absent(folder: Path) -> None:
    """Fail if a file below a folder holds a planted secret."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert path.name == "bearer" or PLANTED.encode() not in path.read_bytes(), path
