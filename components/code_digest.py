"""Digest of the code that shapes a stage's output."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

SHAPE_NOTHING = frozenset({"pix2pix.errors", "pix2pix.progress", "pix2pix.training.saving"})
"""Modules that no output file depends on."""

SHAPE_NOTHING_PACKAGES = ("pix2pix.pages.",)
"""Packages that no output file depends on."""

_LOG_METHODS = frozenset({"debug", "info", "warning", "error", "exception"})


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 over the meaning of modules and of everything in `pix2pix` that they import, as hex.

    The syntax tree is hashed, without docstrings and log calls: formatting, comments, documentation and log lines
    change nothing.

    Args:
        modules: dotted names, e.g. ``components.resize.stage`` and ``pix2pix.datasets.resize``.
    """
    whole = hashlib.sha256()
    for name in sorted(closure(modules)):
        whole.update(f"{name}\0{_meaning(_source(name))}\0".encode())
    return whole.hexdigest()


def closure(modules: tuple[str, ...]) -> frozenset[str]:
    """The modules whose meaning a digest covers: those given, and all of `pix2pix` that they import and depend on."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in SHAPE_NOTHING and not name.startswith(SHAPE_NOTHING_PACKAGES):
            found.add(name)
            waiting += _imports(name)
    return frozenset(found)


def _imports(name: str) -> list[str]:
    """The modules of `pix2pix` that a module imports, at its top or inside functions."""
    named: list[str] = []
    for node in ast.walk(ast.parse(_source(name))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
    return [module for module in named if module.startswith("pix2pix.") and _is_module(module)]


def _is_module(name: str) -> bool:
    try:
        spec = find_spec(name)
    except ModuleNotFoundError:
        return False
    # A package is an empty `__init__`; its modules are named one by one.
    return spec is not None and spec.submodule_search_locations is None


def _source(name: str) -> bytes:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the source of {name} is not installed")
    return Path(spec.origin).read_bytes()


def _meaning(source: bytes) -> str:
    """A module's syntax tree without docstrings, other bare strings and log calls."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if isinstance(statements, list):
                setattr(node, field, [one for one in statements if not _says_nothing(one)])
    return ast.dump(tree)


def _says_nothing(statement: ast.stmt) -> bool:
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
