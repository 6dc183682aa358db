"""`train`, `export`, `generate` and `evaluate`: JSON documents, exit codes, and one clear line for each wrong input."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_line import pix2pix
from tiny_model import TINY, tiny, write_checkpoint, write_pairs

from pix2pix.api.training import export as export_from_python
from pix2pix.inference.export import export
from pix2pix.stop_request import stop_on_signal

SMALL = [
    argument for name, value in {**TINY, "max_steps": 3}.items() for argument in ("-p", f"{name}={json.dumps(value)}")
]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("PACHD_ADDRESS", raising=False)

    # At the level of file descriptors, since TensorFlow writes there.
    return partial(pix2pix, capfd)


def test_an_export_that_leaves_the_onnx_model_out_says_so(
    tmp_path: Path, run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = write_checkpoint(tmp_path / "checkpoint", tiny())
    monkeypatch.setattr("pix2pix.inference.onnx_model.SLOPE", 0.3)
    export_from_python(checkpoint, tmp_path / "model")
    exported = run("export", checkpoint, tmp_path / "model", "--json")
    (warning,) = exported.document["warnings"]
    assert exported.code == 0
    assert "is left out" in warning
    assert f"warning: {warning}" in exported.err
    assert warning in caplog.messages


def test_pairs_become_a_model_and_pictures(tmp_path: Path, run: Any) -> None:
    pairs, pictures = write_pairs(tmp_path / "pairs", 8), write_pairs(tmp_path / "pictures", 2, halves=1)
    (pairs / "text.png").write_text("no picture", encoding="utf-8")
    trained = run("train", pairs, tmp_path / "work", *SMALL, "--json")
    assert trained.code == 0
    assert (trained.document["step"], trained.document["finished"]) == (3, True)
    assert [r["path"] for r in trained.document["rejected"]] == ["text.png"]
    assert set(trained.document["check"]) == {"pairs", "of", "counts", "worst", "note"}
    assert "left out: text.png: " in trained.err
    assert "train: 3/3" in trained.err

    again = run("train", pairs, tmp_path / "work", *SMALL)
    assert again.code == 0
    assert again.out.startswith("3 steps on ")
    assert str(tmp_path / "work" / "report.html") in again.out

    exported = run("export", tmp_path / "work", tmp_path / "model", "--json")
    assert exported.document["folder"] == str(tmp_path / "model" / "1")
    assert exported.document["step"] == 3

    result = run("generate", tmp_path / "model", pictures, tmp_path / "out", "--batch-size", 1, "--json")
    written = {f"{n:03d}.png": f"{n:03d}.png" for n in (0, 1)}
    assert result.document == {"written": written, "kept": {}, "rejected": [], "warnings": []}
    assert "2 kept (same model, same input)" in run("generate", tmp_path / "model", pictures, tmp_path / "out").out

    measured = run("evaluate", tmp_path / "model", pairs, tmp_path / "measured", "--json")
    assert set(measured.document["mean"]) == {"l1", "psnr", "ssim"}
    assert len(measured.document["pictures"]) == 8
    assert "mean of 8: L1 0." in run("evaluate", tmp_path / "model", pairs, tmp_path / "measured").out


def test_a_parameters_file_is_read_and_p_takes_precedence(tmp_path: Path, run: Any) -> None:
    pairs = write_pairs(tmp_path / "pairs", 2)
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**TINY, "max_steps": 3, "seed": 9}.items()]
    (tmp_path / "p.toml").write_text("\n".join(["[export]", "version = 4", "[train]", *lines]), encoding="utf-8")
    result = run("train", pairs, tmp_path / "work", "--parameters", tmp_path / "p.toml", "-p", "max_steps=1", "--json")
    assert result.document["step"] == 1
    written = json.loads((tmp_path / "work" / "hyperparameters.json").read_text(encoding="utf-8"))
    assert (written["seed"], written["max_steps"], written["ngf"]) == (9, 1, 4)


@pytest.mark.parametrize("repo", ["training", "input_images"])
def test_the_parameters_file_of_a_repo_works_for_the_plain_commands(tmp_path: Path, run: Any, repo: str) -> None:
    from components.parameters import resolver

    section, others = {
        "training": ("train", '[export]\npromote = "never"\nversion = 3\n'),
        "input_images": ("generate", "[resize]\nsize = 64\n"),
    }[repo]
    text = f'[{section}]\nbatch_size = 2\n{others}[trigger]\npolicy = "latest"\nattempts = 2\n'
    resolver(repo, section)(text, {}, "here")
    (tmp_path / "p.toml").write_text(text, encoding="utf-8")
    for command, folders in (("train", 1), ("export", 1), ("generate", 2)):
        words = [tmp_path / "missing"] * folders
        result = run(command, "--parameters", tmp_path / "p.toml", *words, tmp_path / "out")
        assert "missing does not exist; name one that does" in result.err  # the file was read and is valid


def test_promote_is_allowed_only_in_export_and_other_names_are_refused(tmp_path: Path, run: Any) -> None:
    for text, problem in (
        ('[train]\npromote = "never"\n', "promote"),
        ("[export]\npromotes = 1\n", "promotes"),
        ("trigger = 3\n", "trigger is outside a section"),
        ("[triggers]\n", "unknown section: triggers"),
    ):
        (tmp_path / "p.toml").write_text(text, encoding="utf-8")
        result = run("train", "--parameters", tmp_path / "p.toml", tmp_path, tmp_path / "out")
        assert result.code == 2
        assert f"{tmp_path / 'p.toml'}: " in result.err
        assert problem in result.err


def test_no_usable_picture_is_bad_input_for_generate_too(tmp_path: Path, run: Any) -> None:
    export(write_checkpoint(tmp_path / "checkpoint", tiny()), tmp_path / "model")
    pictures = write_pairs(tmp_path / "in", 1, halves=1)
    (pictures / "bad.png").write_text("no picture", encoding="utf-8")
    for _ in ("made", "kept"):
        assert run("generate", tmp_path / "model", pictures, tmp_path / "out", "-q").code == 0
    (pictures / "000.png").write_text("", encoding="utf-8")
    result = run("generate", tmp_path / "model", pictures, tmp_path / "out", "-q", "--json")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert "none of the 2 files in " in result.err
    assert "the first, 000.png: EMPTY" in result.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["train", "{empty}", "{out}", *SMALL], "is empty"),
        (["train", "{missing}", "{out}"], "does not exist"),
        (["train", "{file}", "{out}"], "is a file"),
        (
            ["train", "{pairs}", "{out}", "-p", "sise=64"],
            "[train]: sise (did you mean size?); allowed: preset, minutes, ",
        ),
        (["train", "{pairs}", "{out}", "-p", "ngf=0"], "ngf = 0 cannot be used; allowed: a whole number from 1 to 512"),
        (["train", "{pairs}", "{out}", "-p", "ngf"], "'ngf' is not of the form NAME=VALUE"),
        (["train", "{pairs}", "{out}", "--parameters", "{missing}"], "cannot be read"),
        (["export", "{empty}", "{out}"], "is not a checkpoint"),
        (["export", "{empty}", "{out}", "-p", "weights=int3"], "weights = 'int3' cannot be used"),
        (["generate", "{empty}", "{pairs}", "{out}"], "holds no model"),
        (["generate", "{empty}", "{pairs}", "{out}", "--batch-size", "0"], "batch_size = 0 cannot be used"),
        (["evaluate", "{empty}", "{pairs}", "{out}"], "holds no model"),
        (["evaluate", "{empty}", "{pairs}", "{pairs}"], "is inside the input folder"),
        (["evaluate", "{empty}", "{pairs}", "{file}"], "is a file; specify a folder for the results"),
        (["evaluate", "{empty}", "{pairs}", "{circle}"], "is a dangling link"),
        (["generate", "{empty}", "{circle}", "{out}"], "does not exist"),
        (["train", "{pairs}", "{pairs}", *SMALL], "is inside the input folder"),
        (["train", "{pairs}", "{circle}", *SMALL], "is a dangling link"),
    ],
)
def test_wrong_input_is_one_clear_line_and_code_2(tmp_path: Path, run: Any, arguments: list[str], problem: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("", encoding="utf-8")
    write_pairs(tmp_path / "pairs", 1)
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    places = {name: tmp_path / name for name in ("empty", "missing", "file", "pairs", "out", "circle")}
    result = run(*(argument.format(**places) if "{" in argument else argument for argument in arguments))
    assert result.code == 2
    assert result.out == ""
    assert problem in result.err
    # A machine under load is slow enough for lines of progress before it.
    *progress, error = result.err.splitlines()
    assert error.startswith("pix2pix: ")
    assert all(line == "loading TensorFlow" or re.match(r"\w+: \d+/\d+ ", line) for line in progress), progress
    assert not (tmp_path / "out").exists()


def test_a_stop_signal_is_handled_without_taking_a_lock() -> None:
    """The main thread may hold the lock of a `threading.Event` when the handler interrupts it."""
    calls: list[str] = []
    with stop_on_signal() as stop:
        assert not stop()
        sys.setprofile(lambda frame, event, arg: calls.append(getattr(arg, "__name__", frame.f_code.co_name)))
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            sys.setprofile(None)
        assert stop()
    assert "handle" in calls
    assert not {"acquire", "__enter__"} & set(calls)


def test_a_second_ctrl_c_interrupts_at_once_and_a_second_sigterm_does_not() -> None:
    with stop_on_signal():
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.long
def test_sigterm_saves_and_the_same_command_resumes(tmp_path: Path) -> None:
    pairs = write_pairs(tmp_path / "pairs", 4)
    command = [sys.executable, "-m", "cli.main", "train", str(pairs), str(tmp_path / "work"), *SMALL, "--json"]
    command += ["-p", "max_steps=100000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as first:
        assert first.stderr is not None
        for line in first.stderr:
            if "L1" in line:
                break
        first.send_signal(signal.SIGTERM)
        out, err = first.communicate(timeout=100)
    assert first.returncode == 130, err
    stopped = json.loads(out)
    assert not stopped["finished"]
    last = stopped["step"] + 2
    second = subprocess.run([*command, "-p", f"max_steps={last}"], capture_output=True, text=True, check=True)
    assert json.loads(second.stdout)["resumed_from"] == stopped["step"]
    assert json.loads(second.stdout)["step"] == last
