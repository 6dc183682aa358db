"""Gives each input picture the name of its output, and of the file that becomes it.

It exists apart so that a stage, a command and the trigger's plan agree on names from a listing alone, without memory.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pix2pix.images.rejections import BAD_PATH, NAME_COLLISION, Rejection

SUFFIX = ".png"
"""What every output picture ends in."""

MAX_PART = 255
"""Longest file or folder name, in bytes, that file systems take."""


def byte_order(path: str) -> bytes:
    """Key that sorts paths as their bytes, independent of the locale; names that are no UTF-8 included."""
    return os.fsencode(path)


def assign_outputs(paths: Iterable[str]) -> tuple[dict[str, str], tuple[Rejection, ...]]:
    """Map each input path to its output path: the same path, ending in ``.png``.

    Two inputs whose outputs would meet (``a.jpg`` and ``a.png``; names that differ only in case or in Unicode
    composition, which many file systems hold for one; a file where another output needs a folder): the first in byte
    order keeps the name. The outcome depends on the set of paths alone.

    Args:
        paths: relative, posix form.

    Returns:
        input -> output in byte order, and the rejected inputs with ``NAME_COLLISION`` or ``BAD_PATH``.
    """
    outputs: dict[str, str] = {}
    rejected: list[Rejection] = []
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in sorted(set(paths), key=byte_order):
        problem = _problem(path)
        if problem:
            rejected.append(Rejection(path, BAD_PATH, problem))
            continue
        output = str(PurePosixPath(path).with_suffix(SUFFIX))
        if too_long := length_problem(output):
            rejected.append(Rejection(path, BAD_PATH, f"its output {output}: {too_long}"))
            continue
        same = unicodedata.normalize("NFC", output).casefold()
        above = [str(folder) for folder in PurePosixPath(same).parents][:-1]
        holder = files.get(same) or folders.get(same) or next((files[f] for f in above if f in files), None)
        if holder is not None:
            rejected.append(Rejection(path, NAME_COLLISION, f"its output {output} would meet that of {holder}"))
            continue
        outputs[path] = output
        files[same] = path
        for folder in above:
            folders.setdefault(folder, path)
    return outputs, tuple(rejected)


def length_problem(path: str) -> str | None:
    """Say what is wrong with a posix path of which a file system would not take a part; None where nothing is."""
    if any(len(os.fsencode(part)) > MAX_PART for part in path.split("/")):
        return f"a part of the path is longer than {MAX_PART} bytes"
    return None


def partial_of(path: Path) -> Path:
    """Name the file beside `path` that is written first, and renamed once it is whole."""
    # Hidden, so that a listing made meanwhile, or after a crash, does not take it for a picture; and short, whatever
    # the length of the name.
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.part")


def _problem(path: str) -> str | None:
    parts = path.split("/")
    if path.startswith("/"):
        return "the path is absolute"
    if any(part in ("", ".", "..") for part in parts):
        return "the path has an empty part, '.' or '..'"
    if "\0" in path:
        return "the path has a NUL character"
    return length_problem(path)
