"""The listing of a folder: its pictures, in the same order on every machine, and the files that are left out."""

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
    """The content of a folder.

    Attributes:
        folder: the folder.
        pictures: paths relative to it, POSIX form, in byte order. Whether a picture can be used shows when it is read.
        left_out: all other files in byte order, except parameters and reports; a hidden folder counts as one file.
    """

    folder: Path
    pictures: tuple[str, ...]
    left_out: tuple[Rejection, ...]

    def required(self) -> Survey:
        """Return the survey itself if it has pictures.

        Raises:
            InputError: the folder holds no picture.
        """
        if self.pictures:
            return self
        if not self.left_out:
            raise InputError(f"the folder {self.folder} is empty; specify one that holds pictures")
        count = len(self.left_out)
        first = self.left_out[0]
        raise InputError(
            f"the folder {self.folder} holds {count} other file{'s' * (count != 1)} but no picture; the first,"
            f" {first.path}: {first.code}, {first.reason}"
        )


def survey(folder: Path) -> Survey:
    """List the files under a folder, however deep.

    A file with a picture's suffix is listed as a picture; for any other file, its first bytes decide. Links are
    followed, and each folder is visited once.

    Raises:
        InputError: the folder is missing, not a folder, or unreadable.
    """
    if not folder.exists():
        raise InputError(f"the folder {folder} does not exist; specify one that holds pictures")
    if not folder.is_dir():
        raise InputError(f"{folder} is a file; specify a folder that holds pictures")
    files, hidden = _walk(folder)
    pictures: list[str] = []
    left_out = [Rejection(path, NOT_A_PICTURE, "hidden") for path in hidden]
    for path in files:
        if is_own(path):
            continue
        rejection = None if has_suffix(path) else _not_a_picture(folder, path)
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
        InputError: the folder is missing, not a folder, unreadable, or holds no picture.
    """
    return list(survey(folder).required().pictures)


def _not_a_picture(folder: Path, path: str) -> Rejection | None:
    """Return why a file with another suffix, or none, is not a picture; None if its content is one."""
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
    """Refuse a target in which results would become inputs or overwrite them.

    Raises:
        InputError: `target` is a file or a dangling link, is `source`, or is inside it.
    """
    if os.path.lexists(target) and not target.is_dir():
        kind = "a file" if target.exists() else "a dangling link"
        raise InputError(f"{target} is {kind}; specify a folder for the results")
    if real(target).is_relative_to(real(source)):
        raise InputError(f"the output folder {target} is inside the input folder {source}; specify one outside it")


def check_spared(source: Path, target: Path, outputs: Iterable[str]) -> None:
    """Refuse to overwrite inputs when the input folder is inside the output folder.

    Args:
        source: folder of the inputs.
        target: folder for the results.
        outputs: paths of the results relative to `target`, POSIX form.

    Raises:
        InputError: one of them would be inside `source`.
    """
    here, there = real(source), real(target)
    if here.is_relative_to(there):
        inside = here.relative_to(there).as_posix() + "/"
        output = next((path for path in outputs if path.startswith(inside)), None)
        if output is not None:
            raise InputError(
                f"the output {output} would be inside the input folder {source}; specify another output folder"
            )


def real(path: Path) -> Path:
    """Return the absolute path with all links resolved."""
    # Path.resolve() raises RuntimeError on a link that leads to itself.
    return Path(os.path.realpath(path))


def _walk(folder: Path) -> tuple[list[str], list[str]]:
    """Return the paths of visible files, and those of hidden files and folders, relative to the folder."""

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
        # In byte order, so that of two links to one folder the same one is followed on every machine.
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=byte_order)
        found += [(inside / name).as_posix() for name in files if not name.startswith(".")]
    return found, [path for path in hidden if not is_own(path)]
