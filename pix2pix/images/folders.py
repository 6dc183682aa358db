"""Lists the pictures of a folder, in one order that everything else relies on.

It exists so that the same folder gives the same list on every machine and file system.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pix2pix.errors import InputError
from pix2pix.images.names import byte_order

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
"""What a picture's name ends in, in lower case; names are compared without regard to case."""

REPORT = "_report"
"""Folder at the root of a stage's output that holds what the stage says about itself; never pictures."""


def is_picture(path: str) -> bool:
    """Tell from a relative posix path alone whether it is taken for a picture."""
    parts = PurePosixPath(path.lstrip("/")).parts
    return (
        bool(parts)
        and PurePosixPath(path).suffix.lower() in SUFFIXES
        and parts[0] != REPORT
        and not any(part.startswith(".") for part in parts)
    )


def find_pictures(folder: Path) -> list[str]:
    """List the pictures under a folder, however deep.

    Hidden files and folders and ``_report/`` at the root are left out; links are followed, a folder is entered once.

    Returns:
        paths relative to `folder`, posix form, in byte order; at least one.

    Raises:
        InputError: the folder is missing, no folder, unreadable or holds no picture.
    """
    if not folder.exists():
        raise InputError(f"the folder {folder} does not exist; name one that holds pictures")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder that holds pictures")
    found: list[str] = []
    others = 0
    for path in _walk(folder):
        if is_picture(path):
            found.append(path)
        else:
            others += 1
    if not found:
        held = f"holds {others} other file{'s' * (others != 1)} but no picture" if others else "is empty"
        raise InputError(f"the folder {folder} {held}; pictures end in {' '.join(sorted(SUFFIXES))}")
    return sorted(found, key=byte_order)


def check_apart(source: Path, target: Path) -> None:
    """Refuse a target in which results would be taken for inputs, or overwrite them.

    Raises:
        InputError: `target` is a file or a link that leads nowhere, is `source` or lies inside it.
    """
    if os.path.lexists(target) and not target.is_dir():
        kind = "a file" if target.exists() else "a link that leads nowhere"
        raise InputError(f"{target} is {kind}; name a folder for the results")
    if real(target).is_relative_to(real(source)):
        raise InputError(f"the output folder {target} lies in the input folder {source}; name one outside of it")


def check_spared(source: Path, target: Path, outputs: Iterable[str]) -> None:
    """Refuse to write over inputs where the input folder lies inside the output folder.

    Args:
        source: folder of the inputs.
        target: folder for the results.
        outputs: their paths, relative to `target`, posix form.

    Raises:
        InputError: one of them would lie in `source`.
    """
    here, there = real(source), real(target)
    if here.is_relative_to(there):
        inside = here.relative_to(there).as_posix() + "/"
        hit = next((path for path in outputs if path.startswith(inside)), None)
        if hit is not None:
            raise InputError(f"the output {hit} would lie in the input folder {source}; name another output folder")


def real(path: Path) -> Path:
    """The absolute path without links."""
    # Path.resolve() raises RuntimeError on a link that leads to itself.
    return Path(os.path.realpath(path))


def _walk(folder: Path) -> list[str]:
    def refuse(error: OSError) -> None:
        raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}") from error

    found: list[str] = []
    entered: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(here)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        # In byte order, so that of two links to one folder the same one is entered everywhere.
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=byte_order)
        inside = Path(here).relative_to(folder)
        found += [(inside / name).as_posix() for name in files if not name.startswith(".")]
    return found
