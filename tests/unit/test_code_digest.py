"""A stage runs again when code that shapes its output changes in meaning, and for nothing else."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

import components
import pix2pix
from components import code_digest
from components.registry import SPECS, stage

ALL = "train export resize generate"

STAGES: dict[str, str] = {
    "components.code_digest": "",
    "components.export.component": "",
    "components.export.gate": "",
    "components.export.held_out_pairs": "",
    "components.export.page": "",
    "components.export.stage": "export",
    "components.form": "",
    "components.generate.component": "",
    "components.generate.stage": "generate",
    "components.image": "",
    "components.importing": "",
    "components.page": "",
    "components.parameters": "",
    "components.pictures": "train resize generate",
    "components.recorded_model": "generate",
    "components.registry": "",
    "components.resize.component": "",
    "components.resize.stage": "resize",
    "components.shard_component": "",
    "components.task": "",
    "components.termination": "",
    "components.train.component": "",
    "components.train.stage": "train",
    "components.train.trainjob.cluster": "",
    "components.train.trainjob.delegate": "",
    "components.train.trainjob.follow": "",
    "components.train.trainjob.manifest": "",
    "components.train.trainjob.nodes": "",
    "components.train.trainjob.outcome": "",
    "components.train.trainjob.worker": "",
    "components.train.trainjob.worker_exit": "",
    "components.train.warm_start": "train",
    "components.transfer": ALL,
    "pix2pix.api.display": "",
    "pix2pix.api.folders": "",
    "pix2pix.api.model": "",
    "pix2pix.api.picture_input": "",
    "pix2pix.api.training": "",
    "pix2pix.budget.calibration": "",
    "pix2pix.budget.choice": "",
    "pix2pix.budget.outline": "",
    "pix2pix.budget.settling": "",
    "pix2pix.datasets.alignment": "train",
    "pix2pix.datasets.held_out": "train",
    "pix2pix.datasets.groups": "train",
    "pix2pix.datasets.near_duplicates": "train",
    "pix2pix.datasets.pair_notes": "",
    "pix2pix.datasets.batch_convert": "resize",
    "pix2pix.datasets.drawings": "resize",
    "pix2pix.datasets.edges": "resize",
    "pix2pix.datasets.checks.pair_check": "",
    "pix2pix.datasets.checks.pair_faults": "",
    "pix2pix.datasets.checks.pair_statistics": "",
    "pix2pix.datasets.checks.thumbnails": "",
    "pix2pix.datasets.checks.training_check": "",
    "pix2pix.datasets.operations": "",
    "pix2pix.datasets.pairs": "train",
    "pix2pix.datasets.resize": "resize",
    "pix2pix.datasets.split": "",
    "pix2pix.errors": "",
    "pix2pix.escaping": "",
    "pix2pix.facades.generator": "",
    "pix2pix.facades.layout": "",
    "pix2pix.facades.painting": "",
    "pix2pix.files": ALL,
    "pix2pix.hyperparameters.budget": "",
    "pix2pix.hyperparameters.export": "export",
    "pix2pix.hyperparameters.generate": "generate",
    "pix2pix.hyperparameters.parameters_file": "",
    "pix2pix.hyperparameters.resize": "resize",
    "pix2pix.hyperparameters.section": ALL,
    "pix2pix.hyperparameters.sections": "",
    "pix2pix.hyperparameters.train": "train export generate",
    "pix2pix.hyperparameters.warm_start": "train",
    "pix2pix.images.bmp.header": "train resize generate",
    "pix2pix.images.bmp.run_length": "train resize generate",
    "pix2pix.images.codec": "train resize generate",
    "pix2pix.images.depth": "train resize generate",
    "pix2pix.images.fitting": "resize generate",
    "pix2pix.images.folders": "train resize generate",
    "pix2pix.images.formats": "train resize generate",
    "pix2pix.images.header": "train resize generate",
    "pix2pix.images.heif": "train resize generate",
    "pix2pix.images.limits": "train resize generate",
    "pix2pix.images.names": "train resize generate",
    "pix2pix.images.orientation": "train resize generate",
    "pix2pix.images.png.chunks": "train resize generate",
    "pix2pix.images.png.text": "generate",
    "pix2pix.images.png.transparency": "train resize generate",
    "pix2pix.images.rejections": "train resize generate",
    "pix2pix.images.similarity": "",
    "pix2pix.images.srgb": "train resize generate",
    "pix2pix.images.thread_map": "train resize generate",
    "pix2pix.images.tiff.directory": "train resize generate",
    "pix2pix.images.tiff.layout": "train resize generate",
    "pix2pix.images.tiff.samples": "train resize generate",
    "pix2pix.images.tiff.strips": "train resize generate",
    "pix2pix.images.tiff.unsupported": "train resize generate",
    "pix2pix.inference.batching": "generate",
    "pix2pix.inference.comparison": "",
    "pix2pix.inference.engines": "generate",
    "pix2pix.inference.evaluate": "",
    "pix2pix.inference.export": "export",
    "pix2pix.inference.generate": "generate",
    "pix2pix.inference.manifest": "export generate",
    "pix2pix.inference.onnx_model": "export",
    "pix2pix.inference.saved_model": "export generate",
    "pix2pix.inference.scaled_pair": "",
    "pix2pix.inference.served_model": "export",
    "pix2pix.inference.sample_check": "",
    "pix2pix.inference.suitability": "",
    "pix2pix.inference.translator": "generate",
    "pix2pix.memory": "train",
    "pix2pix.model.averaging": "train",
    "pix2pix.model.colour": "train export",
    "pix2pix.model.convolutions": "train export",
    "pix2pix.model.look": "train",
    "pix2pix.model.losses": "train",
    "pix2pix.model.metrics": "train",
    "pix2pix.model.networks": "train export",
    "pix2pix.model.optimizer": "train",
    "pix2pix.model.translation": "train export",
    "pix2pix.pages.curves": "",
    "pix2pix.pages.gallery": "",
    "pix2pix.pages.rendering": "",
    "pix2pix.pages.training_report": "",
    "pix2pix.progress": "",
    "pix2pix.reading": "train resize generate",
    "pix2pix.stop_request": "",
    "pix2pix.tensorflow": "train export generate",
    "pix2pix.toml_text": "",
    "pix2pix.training.checkpoints": "train export",
    "pix2pix.training.dataset": "train",
    "pix2pix.training.devices": "train",
    "pix2pix.training.first_weights": "train",
    "pix2pix.training.loading": "train",
    "pix2pix.training.metrics_log": "train",
    "pix2pix.training.pair_pixels": "train",
    "pix2pix.training.preview": "train",
    "pix2pix.training.resumption": "train",
    "pix2pix.training.samples": "train",
    "pix2pix.training.saving": "",
    "pix2pix.training.step": "train",
    "pix2pix.training.train": "train",
    "pix2pix.training.validation": "train",
}
"""Module -> the stages that a change of its meaning runs again. Every new module needs a row."""


def modules() -> list[str]:
    """All modules of both packages; an ``__init__`` only re-exports."""
    roots = [Path(package.__path__[0]) for package in (pix2pix, components)]
    paths = [path.relative_to(root.parent) for root in roots for path in root.rglob("*.py")]
    return sorted(".".join(path.with_suffix("").parts) for path in paths if path.name != "__init__.py")


@pytest.fixture(scope="module")
def digests() -> Iterator[Callable[..., dict[str, str]]]:
    """The digests of all stages, after a module's source was edited."""
    source, imports_of = cache(code_digest._source), code_digest._imports
    edits: dict[str, Callable[[bytes], bytes]] = {}

    def edited(name: str) -> bytes:
        return edits[name](source(name)) if name in edits else source(name)

    def compute(name: str = "", edit: Callable[[bytes], bytes] = bytes) -> dict[str, str]:
        edits.clear()
        edits[name] = edit
        code_digest.code_digest.cache_clear()
        return {stage_name: stage(stage_name).code() for stage_name in SPECS}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_digest, "_source", edited)
        patch.setattr(code_digest, "_imports", cache(lambda name: tuple(imports_of(name))))  # no edit changes an import
        patch.setattr(code_digest, "_meaning", cache(code_digest._meaning))
        yield compute
    code_digest.code_digest.cache_clear()


def changed_in_meaning(source: bytes) -> bytes:
    return source + b"\nCHANGED = 1\n"


def changed_in_words(source: bytes) -> bytes:
    """Other comments and formatting, other docstrings, and a log line in every function."""
    tree = ast.parse(source)
    log = ast.parse("logger.info('a line about %s', __name__)").body
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            if ast.get_docstring(node) is not None:
                node.body.pop(0)
            node.body[:0] = [ast.Expr(ast.Constant("Another docstring.")), *log]
    return b"# Another comment.\n" + ast.unparse(ast.fix_missing_locations(tree)).encode()


def test_the_table_lists_every_module() -> None:
    assert sorted(STAGES) == modules()


@pytest.mark.parametrize("module", modules())
def test_a_change_of_meaning_runs_the_stages_whose_output_it_shapes_and_no_others(
    digests: Callable[..., dict[str, str]], module: str
) -> None:
    before, after = digests(), digests(module, changed_in_meaning)
    assert {name for name in SPECS if before[name] != after[name]} == set(STAGES[module].split())


def test_a_change_of_comments_docstrings_log_lines_and_formatting_runs_nothing(
    digests: Callable[..., dict[str, str]],
) -> None:
    before = digests()
    for module in modules():
        assert digests(module, changed_in_words) == before, module


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1", "x = 2"),
        ("x = 'a'", "x = 'b'"),
        ("def f(): return 1", "def f(): return 1.0"),
        ("def f(a, b): return a", "def f(b, a): return a"),
        ("if a: b()", "if not a: b()"),
        ("x = None", "x = []"),
        ("f(logger.info('x'))", "f(logger.info('y'))"),
        ("raise E('a')", "raise E('b')"),
    ],
)
def test_any_other_change_of_the_code_changes_the_digest(before: str, after: str) -> None:
    assert code_digest._meaning(before.encode()) != code_digest._meaning(after.encode())


def test_a_name_that_a_package_re_exports_depends_on_the_module_that_defines_it() -> None:
    found = set(code_digest._defining_module("pix2pix.hyperparameters", "TrainParameters"))
    assert found == {"pix2pix.hyperparameters.train"}
    assert set(code_digest._defining_module("pix2pix.images", "codec")) == {"pix2pix.images.codec"}
    assert set(code_digest._defining_module("pix2pix.images.codec", "decode")) == {"pix2pix.images.codec"}


def test_the_digest_is_the_same_each_time() -> None:
    code_digest.code_digest.cache_clear()
    first = code_digest.code_digest("pix2pix.datasets.resize")
    code_digest.code_digest.cache_clear()
    assert code_digest.code_digest("pix2pix.datasets.resize") == first
