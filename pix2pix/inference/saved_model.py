"""The layout of an exported model on disk: ``<model>/<version>/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pix2pix.errors import InputError
from pix2pix.files import is_number

GRAPH = "saved_model.pb"
"""Inside a version's folder: TensorFlow's graph."""
VARIABLES = "variables"
"""Inside a version's folder: the folder of TensorFlow's weights."""
OPTIONS = Path("assets.extra") / "pix2pix.json"
"""Inside a version's folder: description of the model. TensorFlow Serving leaves ``assets.extra`` alone."""
FORMAT = 1
"""Version of the description's layout, its entry ``format``."""
MANIFEST = Path("assets.extra") / "manifest.json"
"""Inside a version's folder: size and digest of every other file (see `pix2pix.inference.manifest`)."""
ONNX = Path("assets.extra") / "model.onnx"
"""Inside a version's folder: the model for ONNX Runtime, if one was exported."""
TFLITE = Path("assets.extra") / "model.tflite"
"""Inside a version's folder: the model for TensorFlow Lite, if one was exported."""


def find_version(model: Path) -> Path:
    """Return the folder of a model's newest version; the folder of a version is returned as it is.

    Raises:
        InputError: the folder holds no model, or one that was not exported by `pix2pix export`.
    """
    versions = sorted((int(path.name), path) for path in _entries(model) if is_number(path.name))
    folder = versions[-1][1] if versions and not (model / GRAPH).exists() else model
    if not (folder / GRAPH).exists():
        raise InputError(f"{model} holds no model; name the folder that `pix2pix export` wrote")
    if not (folder / OPTIONS).exists():
        raise InputError(
            f"the model {folder} was not made by `pix2pix export`: {OPTIONS.as_posix()} is missing; export one"
        )
    return folder


def read_description(content: bytes, name: str) -> dict[str, Any]:
    """Parse the description of a model.

    Args:
        content: the bytes of its `OPTIONS`.
        name: of the model, for errors.

    Returns:
        the JSON object; its ``train`` is one, too.

    Raises:
        InputError: it is not JSON of this form.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("train"), dict):
        raise InputError(
            f"the model {name} is damaged: {OPTIONS.as_posix()} does not describe a model; export it again"
        )
    return document


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
