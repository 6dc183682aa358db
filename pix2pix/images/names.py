"""Names of pictures: which paths may be pictures, and the output path of each input, decided without reading a file."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable

from pix2pix.images.rejections import BAD_PATH, NAME_COLLISION, Rejection

SUFFIX = ".png"
"""Suffix of every output picture."""

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
"""Suffixes of pictures, in lower case; names are compared without regard to case."""

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
"""Suffixes of other files that are found beside pictures: labels, sidecars, notes, videos, archives."""

REPORT = "_report"
"""Folder at the root of a stage's output that holds its report; never pictures."""

PARAMETERS = "pix2pix.toml"
"""File at the root of an input that holds parameters; never a picture."""

MAX_PART = 255
"""Longest name of a file or folder, in bytes, that file systems accept."""


_NO_NAMES = frozenset({"", ".", ".."})


def byte_order(path: str) -> bytes:
    """Return the key that sorts paths by their bytes, whatever the locale, including names that are not UTF-8."""
    return os.fsencode(path)


def is_hidden(path: str) -> bool:
    """Return whether a part of a relative POSIX path starts with a dot."""
    return (path.startswith(".") or "/." in path) and any(part.startswith(".") for part in _parts(path))


def is_own(path: str) -> bool:
    """Return whether a relative POSIX path belongs to the pipelines and not to the data: parameters and reports."""
    return path == PARAMETERS or (REPORT in path and _parts(path)[:1] == [REPORT])


def has_suffix(path: str) -> bool:
    """Return whether a path has a picture's suffix."""
    return _suffix(path).lower() in SUFFIXES


def may_be_picture(path: str) -> bool:
    """Return whether a relative POSIX path may be a picture, when its content is not available.

    A file without a suffix, or with an unknown one, may be; its content decides when it is read.
    """
    return not (not _name(path) or is_own(path) or is_hidden(path) or _suffix(path).lower() in OTHER_SUFFIXES)


# A plan asks all of this about each of 100,000 pictures, where PurePosixPath would take most of its time. Most paths
# are in their normal form already, and the short ways are for them.
def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _name(path: str) -> str:
    """Return the last part of a path; empty if it has none."""
    last = path[path.rfind("/") + 1 :]
    return last if last not in ("", ".") else next(reversed(_parts(path)), "")


def _suffix(path: str) -> str:
    """Return the last suffix of a path, as `PurePosixPath.suffix` does."""
    name = _name(path)
    dot = name.rfind(".")
    return name[dot:] if 0 < dot < len(name) - 1 else ""


def _parents(path: str) -> list[str]:
    """Return the folders of a relative path, the nearest first."""
    found, end = [], path.rfind("/")
    while end > 0:
        found.append(path[:end])
        end = path.rfind("/", 0, end)
    return found


def assign_outputs(paths: Iterable[str]) -> tuple[dict[str, str], tuple[Rejection, ...]]:
    """Map each input path to its output path: the same path, ending in ``.png``.

    If two inputs would have one output (``a.jpg`` and ``a.png``; names that differ only in case or in Unicode
    composition, which many file systems treat as equal; a file where another output needs a folder), one with a
    picture's suffix takes precedence, then the first in byte order. The result depends only on the set of paths.

    Args:
        paths: relative, POSIX form.

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
        key = output.lower() if output.isascii() else unicodedata.normalize("NFC", output).casefold()
        parents = _parents(key)
        holder = (
            files.get(key) or folders.get(key) or next((files[folder] for folder in parents if folder in files), None)
        )
        if holder is not None:
            rejected.append(Rejection(path, NAME_COLLISION, f"its output {output} collides with that of {holder}"))
            continue
        outputs[path] = output
        files[key] = path
        for folder in parents:
            folders.setdefault(folder, path)
    ordered = {path: outputs[path] for path in sorted(outputs, key=byte_order)}
    return ordered, tuple(sorted(rejected, key=lambda rejection: byte_order(rejection.path)))


def length_problem(path: str) -> str | None:
    """Return what is wrong with a POSIX path that a file system would not accept; None if it would."""
    # A character has at most four bytes.
    if 4 * len(path) > MAX_PART and any(len(os.fsencode(part)) > MAX_PART for part in path.split("/")):
        return f"a part of the path is longer than {MAX_PART} bytes"
    return None


def _output(path: str) -> str:
    # A number, as in frame.0001, distinguishes pictures and is not a suffix.
    suffix = _suffix(path)
    if suffix.strip(".0123456789"):
        return path.removesuffix(suffix) + SUFFIX
    return f"{path}{SUFFIX}"


def _problem(path: str) -> str | None:
    if path.startswith("/"):
        return "the path is absolute"
    if not _NO_NAMES.isdisjoint(path.split("/")):
        return "the path has an empty part, '.' or '..'"
    if "\0" in path:
        return "the path has a NUL character"
    return length_problem(path)
