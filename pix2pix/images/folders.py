"""Lists the pictures of a folder, in one order on every machine and file system, and what is left out."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pix2pix.errors import InputError
from pix2pix.images.formats import HEAD, describe, recognize
from pix2pix.images.names import byte_order, has_suffix, is_own
from pix2pix.images.rejections import EMPTY, NOT_A_PICTURE, UNREADABLE, Rejection


@dataclass(frozen=True)
class Survey:
    """What a folder holds.

    Attributes:
        folder: the folder.
        pictures: paths relative to it, posix form, in byte order. Whether one can be used shows when it is read.
        left_out: all other files, in byte order, but parameters and reports; a hidden folder counts as one.
    """

    folder: Path
    pictures: tuple[str, ...]
    left_out: tuple[Rejection, ...]

    def required(self) -> Survey:
        """Itself, where there is a picture.

        Raises:
            InputError: the folder holds none.
        """
        if self.pictures:
            return self
        if not self.left_out:
            raise InputError(f"the folder {self.folder} is empty; name one that holds pictures")
        count = len(self.left_out)
        first = self.left_out[0]
        raise InputError(
            f"the folder {self.folder} holds {count} other file{'s' * (count != 1)} but no picture; the first,"
            f" {first.path}: {first.code}, {first.reason}"
        )


def survey(folder: Path) -> Survey:
    """List the files under a folder, however deep.

    A file whose name ends as a picture's does is taken for one; of any other the first bytes decide. Links are
    followed, a folder is entered once.

    Raises:
        InputError: the folder is missing, no folder or unreadable.
    """
    if not folder.exists():
        raise InputError(f"the folder {folder} does not exist; name one that holds pictures")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; name a folder that holds pictures")
    files, hidden = _walk(folder)
    pictures: list[str] = []
    left_out = [Rejection(path, NOT_A_PICTURE, "hidden") for path in hidden]
    for path in files:
        if is_own(path):
            continue
        rejection = None if has_suffix(path) else _other(folder, path)
        if rejection:
            left_out.append(rejection)
        else:
            pictures.append(path)
    return Survey(
        folder,
        tuple(sorted(pictures, key=byte_order)),
        tuple(sorted(left_out, key=lambda rejection: byte_order(rejection.path))),
    )


def find_pictures(folder: Path) -> list[str]:
    """List the pictures of a folder; see `survey`.

    Raises:
        InputError: the folder is missing, no folder, unreadable or holds no picture.
    """
    return list(survey(folder).required().pictures)


def _other(folder: Path, path: str) -> Rejection | None:
    """Say why a file with another ending, or none, is no picture; None where its content is one."""
    try:
        if not stat.S_ISREG((folder / path).stat().st_mode):
            return Rejection(path, UNREADABLE, "not a regular file")
        with (folder / path).open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        return Rejection(path, UNREADABLE, error.strerror or str(error))
    if not head:
        return Rejection(path, EMPTY, "the file has no bytes")
    return None if recognize(head) else Rejection(path, NOT_A_PICTURE, f"the content is {describe(head)}")


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


def _walk(folder: Path) -> tuple[list[str], list[str]]:
    """Paths of the files that are not hidden, and of what is hidden, relative to the folder."""

    def refuse(error: OSError) -> None:
        raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}") from error

    found: list[str] = []
    hidden: list[str] = []
    entered: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(here)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        inside = Path(here).relative_to(folder)
        hidden += [(inside / name).as_posix() for name in (*files, *folders) if name.startswith(".")]
        # In byte order, so that of two links to one folder the same one is entered everywhere.
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=byte_order)
        found += [(inside / name).as_posix() for name in files if not name.startswith(".")]
    return found, [path for path in hidden if not is_own(path)]
