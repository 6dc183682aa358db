"""A model that `export` did not write, or that was changed since, is not loaded by anything."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import tensorflow as tf
from command_line import pix2pix
from tiny_model import tiny, write_checkpoint, write_pairs

from pix2pix.errors import InputError
from pix2pix.inference.evaluate import evaluate
from pix2pix.inference.export import export
from pix2pix.inference.generate import generate
from pix2pix.inference.manifest import require_unchanged, write_manifest
from pix2pix.inference.saved_model import GRAPH, MANIFEST, OPTIONS
from pix2pix.inference.translator import Translator

ROOT = Path(__file__).resolve().parents[2]
DATA = "variables/variables.data-00000-of-00001"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    return export(write_checkpoint(folder / "checkpoint", tiny()), folder / "model").folder


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model" / "1"))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record what the engines are asked to load, and load nothing."""
    asked: list[str] = []
    monkeypatch.setattr(tf.saved_model, "load", asked.append)
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *_, **__: asked.append("onnx"))
    return asked


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_model_as_it_was_exported_is_loaded(exported: Path) -> None:
    require_unchanged(exported)
    assert Translator(exported.parent).trained == tiny()
    listed = json.loads((exported / MANIFEST).read_text())["files"]
    files = {path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file()}
    assert {GRAPH, DATA, OPTIONS.as_posix()} < set(listed) == files - {MANIFEST.as_posix()}


def test_one_changed_bit_of_any_file_refuses_the_model(exported: Path, tmp_path: Path, loads: list[str]) -> None:
    for number, path in enumerate(json.loads((exported / MANIFEST).read_text())["files"]):
        changed = Path(shutil.copytree(exported, tmp_path / str(number)))
        flip(changed / path)
        with pytest.raises(InputError, match=rf"is not loaded: .* {path} differs from its manifest; export it again"):
            Translator(changed)
    assert not loads


def forged_graph(model: Path) -> None:
    # TensorFlow prefers this file to saved_model.pb.
    (model / "saved_model.cpb").write_bytes(b"")


def linked_variables(model: Path) -> None:
    (model / "variables").rename(model.parent.parent / "elsewhere")
    (model / "variables").symlink_to(model.parent.parent / "elsewhere", target_is_directory=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (forged_graph, "saved_model.cpb is not part of the export"),
        (linked_variables, "variables is not part of the export"),
        (lambda model: (model / DATA).unlink(), f"{DATA} is missing"),
        (lambda model: (model / MANIFEST).unlink(), "manifest.json, which .* writes, is missing or malformed"),
        (lambda model: (model / MANIFEST).write_text("[" * 100_000), "is missing or malformed"),
        (lambda model: (model / MANIFEST).write_text('{"files": {"../x": {}}}'), "is missing or malformed"),
        (lambda model: (model / MANIFEST).write_text('{"files": {}, "format": 2}'), "is missing or malformed"),
    ],
)
def test_a_model_with_other_files_than_its_manifest_is_refused(
    copied: Path, loads: list[str], change: Callable[[Path], object], message: str
) -> None:
    change(copied)
    with pytest.raises(InputError, match=message):
        Translator(copied.parent)
    assert not loads


def test_generate_and_evaluate_refuse_a_changed_model_and_write_nothing(
    copied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], loads: list[str]
) -> None:
    flip(copied / DATA)
    pairs = write_pairs(tmp_path / "pairs", 1)
    for work in (generate, evaluate):
        with pytest.raises(InputError, match="is not loaded"):
            work(copied.parent, pairs, tmp_path / "out")
    for command in ("generate", "evaluate"):
        result = pix2pix(capsys, command, copied.parent, pairs, tmp_path / "out")
        assert (result.code, result.out) == (2, "")
        assert "is not loaded: it is damaged or was changed" in result.err
    assert not loads
    assert not (tmp_path / "out").exists()


def test_a_model_of_another_program_is_refused(tmp_path: Path, loads: list[str]) -> None:
    module = tf.Module()
    module.image = tf.function(lambda image: {"image": image}, input_signature=[tf.TensorSpec([None], tf.uint8)])
    tf.saved_model.save(module, str(tmp_path / "other"), signatures={"image": module.image})
    with pytest.raises(InputError, match="was not made by `pix2pix export`"):
        Translator(tmp_path / "other")
    (tmp_path / "other" / OPTIONS).parent.mkdir(exist_ok=True)
    (tmp_path / "other" / OPTIONS).write_text("{}")
    with pytest.raises(InputError, match="is missing or malformed; export the model again"):
        Translator(tmp_path / "other")
    assert not loads


def test_a_manifest_of_a_damaged_description_does_not_make_it_loadable(copied: Path) -> None:
    (copied / OPTIONS).write_text("{}")
    write_manifest(copied)
    with pytest.raises(InputError, match="is damaged"):
        Translator(copied)


LOADERS = ("saved_model.load", "load_model(", "pickle.load", "TFSMLayer", "InferenceSession(")


def test_models_are_loaded_at_one_place() -> None:
    found = {
        str(file.relative_to(ROOT))
        for package in ("cli", "components", "pachyderm", "pix2pix", "web", "workflows")
        for file in (ROOT / package).rglob("*.py")
        if any(word in file.read_text() for word in LOADERS)
    }
    # The file that the export compares is the one that it has just made.
    assert found == {"pix2pix/inference/engines.py", "pix2pix/inference/onnx_model.py"}
