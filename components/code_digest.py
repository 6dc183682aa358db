"""A digest of the source files that shape a stage's output.

It exists so that a change of the code that matters runs the stage again, and a change elsewhere does not.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

SHAPE_NOTHING = frozenset(
    {
        "pix2pix.pages.curves",
        "pix2pix.errors",
        "pix2pix.pages.gallery",
        "pix2pix.progress",
        "pix2pix.pages.training_report",
    }
)
"""Rooms whose code no output file depends on."""


@cache
def code_digest(*modules: str) -> str:
    """SHA-256 over the files of modules and of everything in `pix2pix` that they import, as hex.

    Args:
        modules: dotted names, e.g. ``components.resize.stage`` and ``pix2pix.datasets.resize``.
    """
    whole = hashlib.sha256()
    for name in sorted(_closure(modules)):
        whole.update(f"{name}\0".encode())
        whole.update(_source(name))
    return whole.hexdigest()


def _closure(modules: tuple[str, ...]) -> set[str]:
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and name not in SHAPE_NOTHING:
            found.add(name)
            waiting += _imports(name)
    return found


def _imports(name: str) -> list[str]:
    """The modules of `pix2pix` that a module imports, at its top or inside functions."""
    named: list[str] = []
    for node in ast.walk(ast.parse(_source(name))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            named += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
    return [one for one in named if one.startswith("pix2pix.") and _exists(one)]


def _exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _source(name: str) -> bytes:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the source of {name} is not installed")
    return Path(spec.origin).read_bytes()
