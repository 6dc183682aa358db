"""Split of pictures into training, validation and test sets by their content.

A split by listing order would move pictures between sets whenever some are added, and invalidate every measurement on
held-out pictures. Equal and nearly equal files are in the same set, whatever their names.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pix2pix.datasets.groups import GroupMember, group, member
from pix2pix.errors import InputError, PictureError
from pix2pix.files import partial_of
from pix2pix.images.codec import Pixels, load
from pix2pix.images.folders import check_apart, find_pictures, real, survey
from pix2pix.images.header import open_header, read_file
from pix2pix.images.names import byte_order
from pix2pix.images.rejections import Rejection
from pix2pix.images.thread_map import in_threads
from pix2pix.progress import Progress, silent

SIDES = ("train", "val", "test")
"""Folders of the result, in the order in which they divide the range of the hash."""


@dataclass(frozen=True)
class Shares:
    """Fractions of the pictures in each set; together 1.

    Attributes:
        train: 0 to 1.
        val: 0 to 1.
        test: 0 to 1; None means the rest.
    """

    train: float = 0.8
    val: float = 0.1
    test: float | None = None

    def __post_init__(self) -> None:
        rest = 1 - self.train - self.val
        test = rest if self.test is None else self.test
        if not all(-1e-9 <= share <= 1 for share in (self.train, self.val, test)) or abs(rest - test) > 1e-6:
            given = ", ".join(
                f"{side} {share:g}" for side, share in zip(SIDES, (self.train, self.val, test), strict=True)
            )
            raise InputError(f"the shares {given} cannot be used; each must be 0 to 1, and their sum 1")

    def side(self, digest: bytes) -> str:
        """Return the set of the pictures whose side the SHA-256 of a file decides."""
        place = int.from_bytes(digest[:6], "big") / 2**48  # exact in a float, and below 1
        if place < self.train:
            return "train"
        no_test = 1 - self.train - self.val < 1e-6
        return "val" if no_test or place < self.train + self.val else "test"


@dataclass(frozen=True)
class Split:
    """Result of `split_folder`.

    Attributes:
        sides: path -> ``train``, ``val`` or ``test``, in byte order.
        placed: number of files that were written; the others were there already.
        moved: number of files that were removed from another set, where other shares, other content or other pictures
            that nearly equal them had put them.
        copies: number of pictures that nearly equal another one, and are in its set.
        stale: files in the result whose path is no longer in the input, relative to the result; they are kept.
        rejected: files that were left out, in byte order.
    """

    sides: dict[str, str]
    placed: int
    moved: int
    copies: int
    stale: tuple[str, ...]
    rejected: tuple[Rejection, ...]


def split_folder(
    source: Path,
    target: Path,
    shares: Shares,
    *,
    link: bool = False,
    workers: int | None = None,
    progress: Progress = silent,
) -> Split:
    """Copy or link every picture into ``train/``, ``val/`` or ``test/``, under its own path.

    A repeated call changes nothing; after pictures were added, only those are written.

    Args:
        source: folder with pictures, however deep; it is only read.
        target: folder for the result, created if missing.
        shares: fractions of the sets.
        link: whether to make hard links instead of copies, if the file system allows.
        workers: threads; None means one per core.
        progress: called after each picture.

    Raises:
        InputError: `source` is missing or has no pictures, or one folder is inside the other.
        OSError: `target` cannot be written.
    """
    check_apart(source, target)
    if real(source).is_relative_to(real(target)):
        raise InputError(
            f"the input folder {source} is inside the output folder {target}; specify another output folder"
        )
    listing = survey(source).required()

    def read(path: str) -> GroupMember | Rejection:
        try:
            data = read_file(source / path)
            header = open_header(data)
            return member(hashlib.sha256(data).hexdigest(), header.width * header.height, _scaled(data))
        except PictureError as error:
            return Rejection(path, error.code, error.reason)

    count = len(listing.pictures)
    results = dict(
        zip(
            listing.pictures,
            in_threads(read, listing.pictures, workers, lambda done, _, note: progress(done, 2 * count, note)),
            strict=True,
        )
    )
    members = {path: result for path, result in results.items() if isinstance(result, GroupMember)}
    rejected = [*(result for result in results.values() if isinstance(result, Rejection)), *listing.left_out]
    sides, copies = _sides(source, members, shares, workers)

    def place(path: str) -> tuple[bool, int]:
        side = sides[path]
        moved = [other for other in SIDES if other != side and _remove(target / other / path)]
        return _place(source / path, target / side / path, link), len(moved)

    done = in_threads(place, tuple(sides), workers, lambda done, _, note: progress(count + done, 2 * count, note))
    return Split(
        sides=sides,
        placed=sum(placed for placed, _ in done),
        moved=sum(moved for _, moved in done),
        copies=copies,
        stale=_stale(target, {f"{side}/{path}" for path, side in sides.items()}),
        rejected=tuple(sorted(rejected, key=lambda rejection: byte_order(rejection.path))),
    )


def _sides(
    source: Path, members: Mapping[str, GroupMember], shares: Shares, workers: int | None
) -> tuple[dict[str, str], int]:
    """Return the set of each picture, and the number of those that nearly equal another one."""
    paths = tuple(members)
    grouping = group(tuple(members.values()), lambda index: _scaled(read_file(source / paths[index])), workers)
    sides = {path: shares.side(bytes.fromhex(digest)) for path, digest in zip(paths, grouping.deciding, strict=True)}
    return sides, grouping.copies


def _scaled(data: bytes) -> Pixels:
    """Decode a picture, a large JPEG at a reduced size that suffices for comparing it."""
    return np.asarray(load(data, at_least=(512, 256)))


def _place(origin: Path, destination: Path, link: bool) -> bool:
    """Copy or link a file unless it is in its place already; return whether it was written."""
    if destination.exists():
        is_same = destination.samefile(origin)
        if link if is_same else destination.read_bytes() == origin.read_bytes():
            return False
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(destination)
    partial.unlink(missing_ok=True)
    try:
        if not (link and _try_link(origin, partial)):
            shutil.copyfile(origin, partial)
        partial.replace(destination)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _try_link(origin: Path, destination: Path) -> bool:
    try:
        destination.hardlink_to(origin.resolve())
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            return False
        raise
    return True


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _stale(target: Path, current: set[str]) -> tuple[str, ...]:
    found: list[str] = []
    for side in SIDES:
        if (target / side).is_dir():
            try:
                found += [f"{side}/{path}" for path in find_pictures(target / side)]
            except InputError:
                continue  # no picture on this side
    return tuple(path for path in found if path not in current)
