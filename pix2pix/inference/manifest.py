"""The manifest of an exported model: size and SHA-256 of each of its files, checked before TensorFlow reads any.

A SavedModel is a program. The manifest shows that a model is as `pix2pix export` wrote it, not who wrote it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pix2pix.errors import InputError
from pix2pix.inference.saved_model import MANIFEST


@dataclass(frozen=True)
class ModelFile:
    """A file of a model.

    Attributes:
        bytes: size in bytes.
        sha256: SHA-256 of the content, hex.
    """

    bytes: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """The content of ``assets.extra/manifest.json``.

    Attributes:
        format: version of the format.
        files: path relative to the version's folder -> file; every file but the manifest.
    """

    files: dict[str, ModelFile]
    format: Literal[1] = 1


_decode = msgspec.json.Decoder(Manifest).decode


def write_manifest(folder: Path) -> None:
    """Write the manifest of a version's folder, which must be complete."""
    files = {path: hashed(folder / path) for path in sorted(_listing(folder) - {MANIFEST.as_posix()})}
    (folder / MANIFEST).write_text(json.dumps(asdict(Manifest(files)), indent=2) + "\n", encoding="utf-8")


def require_unchanged(folder: Path, needed: Callable[[str], bool] | None = None) -> None:
    """Compare a version's folder with its manifest.

    Args:
        folder: of the version.
        needed: whether a file, relative to the folder, may not be missing; None needs all. What is there must be
            unchanged in any case.

    Raises:
        InputError: the manifest is missing or malformed, or a file differs from it, is missing or is not listed.
    """
    try:
        listed = _decode((folder / MANIFEST).read_bytes()).files
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(
            f"the model {folder} is not loaded: {MANIFEST.as_posix()}, which `pix2pix export` writes, is missing or"
            " malformed; export the model again"
        ) from error
    found = _listing(folder) - {MANIFEST.as_posix()}
    for path in sorted(found | {path for path in listed if needed is None or needed(path)}):
        problem = _problem(folder, path, path in found, listed.get(path))
        if problem:
            raise InputError(
                f"the model {folder} is not loaded: it is damaged or was changed, {problem}; export it again"
            )


def hashed(path: Path) -> ModelFile:
    """Return size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return ModelFile(file.tell(), digest)


def _problem(folder: Path, path: str, present: bool, listed: ModelFile | None) -> str:
    """Return how a file differs from the manifest; empty if it does not."""
    if listed is None:
        return f"{path} is not part of the export"
    if not present:
        return f"{path} is missing"
    if (folder / path).stat().st_size != listed.bytes or hashed(folder / path) != listed:
        return f"{path} differs from its manifest"
    return ""


def _listing(folder: Path) -> set[str]:
    """Return the paths of all files below a folder, and of links to folders, which are not followed."""
    found = set()
    for root, folders, files in os.walk(folder):
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        found |= {(Path(root) / name).relative_to(folder).as_posix() for name in (*files, *links)}
    return found
