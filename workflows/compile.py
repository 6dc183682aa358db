"""Compilation of the pipelines to the IR YAML that is committed beside them."""

from __future__ import annotations

import tempfile
import warnings
from importlib import import_module
from pathlib import Path

NAMES = ("training_and_export", "preprocessing_and_generation", "image_to_image")
"""Modules of `workflows`, each with one pipeline of the same name."""

BESIDE = Path(__file__).resolve().parent


def compile_all(folder: Path = BESIDE) -> list[Path]:
    """Write ``<name>.yaml`` of every pipeline into a folder; the output is reproducible byte for byte."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp import compiler

    written = []
    for name in NAMES:
        pipeline = getattr(import_module(f"workflows.{name}"), name)
        path = folder / f"{name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        written.append(path)
    return written


def stale() -> list[Path]:
    """Return the committed files that a compilation would change."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = compile_all(Path(folder))
        return [
            BESIDE / path.name
            for path in fresh
            if not (BESIDE / path.name).exists() or (BESIDE / path.name).read_bytes() != path.read_bytes()
        ]
