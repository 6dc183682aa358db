"""Each layer has one tree of errors, drawn in docs/architecture.md and in the docstring of its errors module."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = {"pachyderm": "PachydermError", "pix2pix": "Pix2PixError", "web": "WebError", "workflows": "WorkflowError"}

FOREIGN = {"TomlError": "ValueError", "CallError": "grpc.RpcError", "ReadTimeoutError": "grpc.RpcError"}
"""Errors that belong to another library's tree, since that library's callers catch them -> their base."""


def exception_classes(layer: str) -> dict[str, tuple[str, Path]]:
    """Every exception class of a layer -> its base and its file, by the syntax alone."""
    bases: dict[str, tuple[str, Path]] = {}
    for file in sorted((ROOT / layer).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.bases:
                bases[node.name] = (ast.unparse(node.bases[0]), file)
    names = {"Exception", "BaseException"}
    while True:
        found = {
            name for name, (base, _) in bases.items() if base in names or re.search(r"(Error|Exception)(\[|$)", base)
        }
        if found <= names:
            return {name: bases[name] for name in found}
        names |= found


def tree(layer: str) -> set[tuple[str, str]]:
    """The (base, class) pairs of a layer's own errors."""
    return {(base, name) for name, (base, _) in exception_classes(layer).items() if name not in FOREIGN}


def section() -> str:
    """The section on errors of docs/architecture.md."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    return text.partition("\n## Errors\n")[2].partition("\n## ")[0]


def drawn() -> set[tuple[str, str]]:
    """The (base, class) pairs of the diagram."""
    arrows = re.findall(r"^\s+(\w+) --> ([\w &]+)$", section(), re.MULTILINE)
    return {(base, name) for base, names in arrows for name in names.split(" & ")}


def test_the_diagram_shows_every_error_below_its_base() -> None:
    classes = {edge for layer in LAYERS for edge in tree(layer)} - {("Exception", root) for root in LAYERS.values()}
    assert drawn() == classes


@pytest.mark.parametrize("layer", LAYERS)
def test_every_error_of_a_layer_belongs_to_its_tree(layer: str) -> None:
    edges = tree(layer)
    members = {LAYERS[layer]}
    for _ in edges:
        members |= {name for base, name in edges if base in members}
    assert members == {name for _, name in edges}
    foreign = {name: base for name, (base, _) in exception_classes(layer).items() if name in FOREIGN}
    assert foreign.items() <= FOREIGN.items()


@pytest.mark.parametrize("layer", LAYERS)
def test_the_errors_module_draws_the_classes_that_it_defines(layer: str) -> None:
    drawing = import_module(f"{layer}.errors").__doc__ or ""
    shown = {LAYERS[layer], *re.findall(r"[├└]── (\w+)", drawing)}
    own = {name for name, (_, file) in exception_classes(layer).items() if file == ROOT / layer / "errors.py"}
    assert LAYERS[layer] in drawing
    assert own <= shown <= {name for _, name in tree(layer)}


def test_the_retryable_errors_are_those_that_the_page_lists() -> None:
    retryable = set()
    for layer in LAYERS:
        for name, (_, file) in exception_classes(layer).items():
            module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
            if name not in FOREIGN and getattr(import_module(module), name).retryable:
                retryable.add(name)
    listed = re.search(r"Retryable:\s+([\w,\s]+)\.", section())
    assert listed is not None
    assert set(re.findall(r"\w+", listed[1])) == retryable
