"""Decides from paths alone which may be pictures, and gives each input the name of its output.

A stage, a command and the trigger's plan therefore agree on names without reading a file.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from pix2pix.images.rejections import BAD_PATH, NAME_COLLISION, Rejection

SUFFIX = ".png"
"""What every output picture ends in."""

SUFFIXES = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".apng",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".heic",
        ".heif",
        ".hif",
        ".avif",
    }
)
"""What the names of pictures end in, in lower case; names are compared without regard to case."""

OTHER_SUFFIXES = frozenset(
    {
        ".bak",
        ".c",
        ".cfg",
        ".conf",
        ".css",
        ".csv",
        ".db",
        ".doc",
        ".docx",
        ".gz",
        ".h5",
        ".htm",
        ".html",
        ".ini",
        ".ipynb",
        ".js",
        ".json",
        ".jsonl",
        ".log",
        ".m4v",
        ".mat",
        ".md",
        ".mkv",
        ".mov",
        ".mp4",
        ".npy",
        ".npz",
        ".pdf",
        ".pickle",
        ".pkl",
        ".pt",
        ".pth",
        ".py",
        ".rst",
        ".sh",
        ".sqlite",
        ".svg",
        ".tar",
        ".tex",
        ".toml",
        ".tsv",
        ".txt",
        ".xls",
        ".xlsx",
        ".xml",
        ".xmp",
        ".yaml",
        ".yml",
        ".zip",
    }
)
"""What the names of other files end in that lie beside pictures: labels, sidecars, notes, films, archives."""

REPORT = "_report"
"""Folder at the root of a stage's output that holds what the stage reports; never pictures."""

PARAMETERS = "pix2pix.toml"
"""File at the root of an input that holds parameters; never a picture."""

MAX_PART = 255
"""Longest file or folder name, in bytes, that file systems take."""


def byte_order(path: str) -> bytes:
    """Key that sorts paths as their bytes, independent of the locale; names that are no UTF-8 included."""
    return os.fsencode(path)


def is_hidden(path: str) -> bool:
    """Whether a part of a relative posix path starts with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def is_own(path: str) -> bool:
    """Whether a relative posix path belongs to the pipelines and not to the data: parameters and reports."""
    return path == PARAMETERS or PurePosixPath(path).parts[:1] == (REPORT,)


def has_suffix(path: str) -> bool:
    """Whether a path ends as a picture's does."""
    return PurePosixPath(path).suffix.lower() in SUFFIXES


def may_be_picture(path: str) -> bool:
    """Whether a relative posix path may be a picture, where its content is not at hand.

    A file without an ending, or with an unknown one, may be; what it is shows when it is read.
    """
    return not (
        not PurePosixPath(path).parts
        or is_own(path)
        or is_hidden(path)
        or PurePosixPath(path).suffix.lower() in OTHER_SUFFIXES
    )


def assign_outputs(paths: Iterable[str]) -> tuple[dict[str, str], tuple[Rejection, ...]]:
    """Map each input path to its output path: the same path, ending in ``.png``.

    Two inputs whose outputs would meet (``a.jpg`` and ``a.png``; names that differ only in case or in Unicode
    composition, which many file systems hold for one; a file where another output needs a folder): one that ends as a
    picture's does comes before one that does not, then the first in byte order keeps the name. The outcome depends on
    the set of paths alone.

    Args:
        paths: relative, posix form.

    Returns:
        input -> output in byte order, and the rejected inputs with ``NAME_COLLISION`` or ``BAD_PATH``.
    """
    outputs: dict[str, str] = {}
    rejected: list[Rejection] = []
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in sorted(set(paths), key=lambda path: (not has_suffix(path), byte_order(path))):
        problem = _problem(path)
        if problem:
            rejected.append(Rejection(path, BAD_PATH, problem))
            continue
        output = _output(path)
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
    ordered = {path: outputs[path] for path in sorted(outputs, key=byte_order)}
    return ordered, tuple(sorted(rejected, key=lambda rejection: byte_order(rejection.path)))


def length_problem(path: str) -> str | None:
    """Say what is wrong with a posix path of which a file system would not take a part; None where nothing is."""
    if any(len(os.fsencode(part)) > MAX_PART for part in path.split("/")):
        return f"a part of the path is longer than {MAX_PART} bytes"
    return None


def _output(path: str) -> str:
    # A number at the end, as in frame.0001, tells pictures apart and is no kind of file.
    if PurePosixPath(path).suffix.strip(".0123456789"):
        return str(PurePosixPath(path).with_suffix(SUFFIX))
    return f"{path}{SUFFIX}"


def _problem(path: str) -> str | None:
    parts = path.split("/")
    if path.startswith("/"):
        return "the path is absolute"
    if any(part in ("", ".", "..") for part in parts):
        return "the path has an empty part, '.' or '..'"
    if "\0" in path:
        return "the path has a NUL character"
    return length_problem(path)
