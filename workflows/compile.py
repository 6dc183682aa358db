"""Compilation of the pipelines to the IR YAML that is committed beside them."""

from __future__ import annotations

import re
import tempfile
import warnings
from importlib import import_module
from pathlib import Path

from workflows.errors import RunInputError

NAMES = ("training_and_export", "preprocessing_and_generation", "image_to_image")
"""Modules of `workflows`, each with one pipeline of the same name."""

BESIDE = Path(__file__).resolve().parent

_SDK_VERSION = re.compile(rb"^sdkVersion: .*\n", re.MULTILINE)


def output_folder(folder: Path | None) -> Path:
    """Return the folder to compile into; None is the folder of the sources, if this is a clone of the repository.

    Raises:
        RunInputError: the folder belongs to an installed package, whose files an installer manages.
    """
    target = BESIDE if folder is None else folder.resolve()
    if not (BESIDE.parent / "pyproject.toml").is_file() and target.is_relative_to(BESIDE.parent):
        raise RunInputError(
            f"the pipelines are installed in {BESIDE}, which is not written to; name a folder for the YAML: -o DIR"
        )
    return target


def compile_all(folder: Path) -> list[Path]:
    """Write ``<name>.yaml`` of every pipeline into a folder; the output is reproducible byte for byte.

    Args:
        folder: created if missing; see `output_folder`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp import compiler

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name in NAMES:
        pipeline = getattr(import_module(f"workflows.{name}"), name)
        path = folder / f"{name}.yaml"
        compiler.Compiler().compile(pipeline, str(path))
        written.append(path)
    return written


def stale(folder: Path) -> list[Path]:
    """Return the files of a folder that a compilation would change in more than the version of kfp's SDK."""
    with tempfile.TemporaryDirectory() as temporary:
        fresh = compile_all(Path(temporary))
        return [folder / path.name for path in fresh if _meaning(folder / path.name) != _meaning(path)]


def _meaning(file: Path) -> bytes | None:
    """Return the content without the version of the SDK that compiled it; None without a file."""
    return _SDK_VERSION.sub(b"", file.read_bytes()) if file.exists() else None
