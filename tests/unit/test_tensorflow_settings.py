"""TensorFlow is configured by a call before its import, and by nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn
from unittest.mock import MagicMock

import pytest

from cli.main import pix2pix
from components.export import stage as export
from components.generate import stage as generate
from components.resize import stage as resize
from components.task import perform
from components.train import stage as train
from pachyderm.output.stage import Stage

SETTINGS = ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL", "PIX2PIX_MALLOC")

REPORT = """
print(json.dumps({
    "environment": {name: os.environ.get(name) for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL")},
    "tensorflow": "tensorflow" in sys.modules,
}))
"""


def run(code: str, **environment: str) -> tuple[dict[str, object], str]:
    """Run code in a process without any of the settings; return what it prints and its standard error."""
    clean = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    process = subprocess.run(
        [sys.executable, "-c", f"import json, os, sys\n{code}\n{REPORT}"],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout), process.stderr


def test_importing_the_library_with_its_networks_changes_no_setting() -> None:
    report, _ = run("import pix2pix.tensorflow, pix2pix.model.networks, pix2pix.inference.generate")
    assert report == {
        "environment": {"TF_ENABLE_ONEDNN_OPTS": None, "TF_CPP_MIN_LOG_LEVEL": None},
        "tensorflow": True,
    }


def test_the_call_makes_the_settings_imports_nothing_and_is_harmless_twice() -> None:
    report, errors = run(
        "from pix2pix.tensorflow import configure_tensorflow\n"
        "finders = len(sys.meta_path); first = configure_tensorflow(); second = configure_tensorflow()\n"
        "assert first == second and first.ineffective == () and len(sys.meta_path) == finders + 1"
    )
    assert report == {"environment": {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}, "tensorflow": False}
    assert errors == ""


def test_the_page_of_the_demo_needs_no_tensorflow() -> None:
    modules = "cli.demo.report, pix2pix.pages.training_report, pix2pix.training.metrics_log, pix2pix.training.samples"
    report, errors = run(f"import {modules}")
    assert not report["tensorflow"]
    assert errors == ""


def test_variables_that_are_set_keep_their_values() -> None:
    report, _ = run(
        "from pix2pix.tensorflow import configure_tensorflow\nassert not configure_tensorflow().keeps_freed_memory",
        TF_ENABLE_ONEDNN_OPTS="0",
        PIX2PIX_MALLOC="0",
    )
    assert report["environment"] == {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "2"}


@pytest.mark.parametrize("quiet", [True, False])
def test_start_up_messages_are_dropped_after_the_call_and_other_messages_are_passed_on(quiet: bool) -> None:
    configure = "from pix2pix.tensorflow import configure_tensorflow; configure_tensorflow()\n" if quiet else ""
    report, errors = run(f"{configure}import tensorflow\nos.write(2, b'another message\\n')")
    assert report["tensorflow"]
    assert ("absl::InitializeLog" in errors) != quiet
    assert errors.endswith("another message\n")


def test_a_call_after_the_import_of_tensorflow_reports_what_has_no_effect() -> None:
    # A stand-in: only the name in sys.modules counts.
    code = (
        "import types; sys.modules['tensorflow'] = types.ModuleType('tensorflow')\n"
        "from pix2pix.tensorflow import configure_tensorflow\n"
        "assert configure_tensorflow().ineffective == ('TF_ENABLE_ONEDNN_OPTS',)"
    )
    _, errors = run(code, TF_CPP_MIN_LOG_LEVEL="1")
    assert "TensorFlow was imported before configure_tensorflow() was called" in errors
    assert "without effect: TF_ENABLE_ONEDNN_OPTS=1. Call it first" in errors


class ConfiguredError(Exception):
    """TensorFlow was configured."""


class UnconfiguredError(Exception):
    """The task went on without."""


def configured() -> NoReturn:
    raise ConfiguredError


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "in", "out"],
        ["evaluate", "model", "in", "out"],
        ["export", "in", "out"],
        ["generate", "model", "in", "out"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_each_command_that_uses_tensorflow_configures_it(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    for module in ("train", "generate"):
        monkeypatch.setattr(f"cli.folders.{module}.configure_tensorflow", configured)
    with pytest.raises(ConfiguredError):
        pix2pix.main(args=arguments, standalone_mode=False)


@pytest.mark.parametrize(
    ("stage", "error"),
    [
        (resize.STAGE, UnconfiguredError),
        (train.STAGE, ConfiguredError),
        (export.STAGE, ConfiguredError),
        (generate.STAGE, ConfiguredError),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_each_task_that_uses_tensorflow_configures_it(
    stage: Stage, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unconfigured(environment: dict[str, str]) -> NoReturn:
        raise UnconfiguredError

    monkeypatch.setattr("components.task.configure_tensorflow", configured)
    monkeypatch.setattr("components.task.Target.from_environment", unconfigured)
    for name in ("logging", "Termination"):  # a task sets up those of its process
        monkeypatch.setattr(f"components.task.{name}", MagicMock())
    with pytest.raises(error):
        perform(stage, "", "", "run", "report.html", None)
