"""Digest of the code, and versions of the libraries, that shape a stage's output."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

LAYERS = ("pix2pix.", "components.")
"""Packages whose modules are covered. What `pachyderm` and the libraries contribute is in the other parts of the
fingerprint: listings, parameters and versions."""

SHAPE_NOTHING = frozenset(
    {
        "components.code_digest",
        "components.export.gate",  # whether a model is promoted, not what is in it
        "components.export.page",
        "components.importing",
        "components.page",
        "components.parameters",  # the resolved values are a part of the fingerprint
        "pix2pix.datasets.pair_notes",  # warnings only
        "pix2pix.errors",
        "pix2pix.hyperparameters.budget",  # likewise
        "pix2pix.inference.suitability",  # warnings only
        "pix2pix.progress",
        "pix2pix.training.saving",  # when a checkpoint is saved, not what is in it
    }
)
"""Modules that no output file depends on. A module belongs here only if that is certain."""

SHAPE_NOTHING_PACKAGES = ("pix2pix.budget.", "pix2pix.datasets.checks.", "pix2pix.pages.")
"""Packages that no output file depends on: pages and what the check of the pairs found are published as reports, and
what a budget chose is a part of the fingerprint."""

PICTURES = ("pillow", "pillow-heif", "numpy")
DRAWINGS = ("opencv-python-headless",)
TENSORFLOW = ("tensorflow", "keras", "numpy")
ONNX = ("onnx", "onnxruntime")
"""Packages whose versions are parts of a fingerprint."""

_LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception"})


def versions_of(*packages: str) -> Callable[[], Mapping[str, str]]:
    """Return a function that reads the installed versions of packages, without importing them."""
    return lambda: {name: version(name) for name in packages}


@cache
def code_digest(*modules: str) -> str:
    """Return the SHA-256 over the meaning of modules and of everything they import from `LAYERS`, as hex.

    The syntax tree is hashed without docstrings and log calls: formatting, comments, documentation and log messages
    do not change the digest.

    Args:
        modules: dotted names, e.g. ``components.resize.stage`` and ``pix2pix.datasets.resize``.
    """
    total = hashlib.sha256()
    for name in sorted(closure(modules)):
        total.update(f"{name}\0{_meaning(_source(name))}\0".encode())
    return total.hexdigest()


def closure(modules: tuple[str, ...]) -> frozenset[str]:
    """Return the modules that a digest covers: those given, and all that they import and that can shape an output."""
    found: set[str] = set()
    pending = list(modules)
    while pending:
        name = pending.pop()
        if name not in found and name not in SHAPE_NOTHING and not name.startswith(SHAPE_NOTHING_PACKAGES):
            found.add(name)
            pending += _imports(name)
    return frozenset(found)


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Return the modules of `LAYERS` that a module imports, at its top level or inside functions."""
    return tuple(_imported_in(_source(name)))


def _imported_in(source: bytes) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and f"{node.module}.".startswith(LAYERS):
            for alias in node.names:
                yield from _defining_module(node.module, alias.name)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith(LAYERS))


def _defining_module(parent: str, name: str) -> Iterator[str]:
    """Yield the module that ``from parent import name`` depends on.

    A name that a package's ``__init__`` re-exports depends on the module that defines it, not on the whole package.
    """
    if _is_importable(f"{parent}.{name}"):
        yield f"{parent}.{name}"
    elif not _is_package(parent):
        yield parent
    else:
        for node in ast.parse(_source(parent)).body:
            if isinstance(node, ast.ImportFrom) and node.module and name in {alias.name for alias in node.names}:
                yield from _defining_module(node.module, name)


def _is_importable(name: str) -> bool:
    return _file(name) is not None


def _is_package(name: str) -> bool:
    file = _file(name)
    return file is not None and file.name == "__init__.py"


def _source(name: str) -> bytes:
    file = _file(name)
    if file is None:
        raise ModuleNotFoundError(f"the source of {name} is not installed")
    return file.read_bytes()


@cache
def _file(name: str) -> Path | None:
    """Return the source file of a module or package, or None; `find_spec` would import all of its parents."""
    top, *rest = name.split(".")
    spec = find_spec(top)
    for location in (spec.submodule_search_locations or ()) if spec is not None else ():
        path = Path(location, *rest)
        for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
            if file.is_file():
                return file
    return None


@cache
def _meaning(source: bytes) -> str:
    """Return a module's syntax tree as text, without docstrings, other bare strings and log calls."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [statement for statement in statements if not _is_silent(statement)])
    return _dump(tree)


def _dump(node: object) -> str:
    # Not ast.dump: Python 3.13 leaves empty fields out of it, and an update of Python would train every model again.
    if isinstance(node, ast.AST):
        fields = (f"{name}={_dump(value)}" for name, value in ast.iter_fields(node) if value not in (None, []))
        return f"{type(node).__name__}({','.join(fields)})"
    return f"[{','.join(map(_dump, node))}]" if isinstance(node, list) else repr(node)


def _is_silent(statement: ast.stmt) -> bool:
    """Return whether a statement is a bare string or a call of a method of ``logger``."""
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    if isinstance(value, ast.Constant):
        return isinstance(value.value, str)
    return (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr in _LOG_METHODS
        and isinstance(value.func.value, ast.Name)
        and value.func.value.id == "logger"
    )
