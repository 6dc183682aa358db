"""Splits pictures into training, validation and test by their content.

It exists because a split by listing order moves pictures to the other side whenever some are added, and every
measurement on held-out pictures is then a lie. Equal files fall on the same side, whatever they are called.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from pix2pix.errors import InputError, PictureError
from pix2pix.files import partial_of
from pix2pix.images.folders import check_apart, find_pictures, real, survey
from pix2pix.images.names import byte_order
from pix2pix.images.opening import open_header, read_file
from pix2pix.images.rejections import Rejection
from pix2pix.images.thread_map import in_threads
from pix2pix.progress import Progress, silent

SIDES = ("train", "val", "test")
"""Folders of the result, and the order in which they share the range of the hash."""


@dataclass(frozen=True)
class Shares:
    """Which part of the pictures goes where; together 1.

    Attributes:
        train: 0 to 1.
        val: 0 to 1.
        test: 0 to 1; None means what the other two leave.
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
            raise InputError(f"the shares {given} cannot be used; each is 0 to 1 and together they are 1")

    def side(self, digest: bytes) -> str:
        """Give the side of a picture from the SHA-256 of its file: a function of nothing else."""
        place = int.from_bytes(digest[:6], "big") / 2**48  # exact in a float, and below 1
        if place < self.train:
            return "train"
        no_test = 1 - self.train - self.val < 1e-6
        return "val" if no_test or place < self.train + self.val else "test"


@dataclass(frozen=True)
class Split:
    """What `split_folder` did.

    Attributes:
        sides: path -> ``train``, ``val`` or ``test``, in byte order.
        placed: how many files were written; the others stood there already.
        moved: how many files were removed from another side, where other shares or other content had put them.
        stale: files in the result whose path the input no longer has, relative to the result; they are left alone.
        rejected: files that were left out, in byte order.
    """

    sides: dict[str, str]
    placed: int
    moved: int
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

    Done again, nothing changes; after pictures were added, only they are written.

    Args:
        source: folder with pictures, however deep; nothing in it is touched.
        target: folder for the result, made if missing.
        shares: which part goes where.
        link: hard links instead of copies, where the file system allows.
        workers: threads; None means one per core.
        progress: told after each picture.

    Raises:
        InputError: `source` is missing or without pictures, or one folder lies in the other.
        OSError: `target` cannot be written.
    """
    check_apart(source, target)
    if real(source).is_relative_to(real(target)):
        raise InputError(f"the input folder {source} lies in the output folder {target}; name another output folder")
    listing = survey(source).required()

    def work(path: str) -> Rejection | tuple[str, bool, int]:
        try:
            data = read_file(source / path)
            open_header(data)
        except PictureError as error:
            return Rejection(path, error.code, error.reason)
        side = shares.side(hashlib.sha256(data).digest())
        moved = [other for other in SIDES if other != side and _remove(target / other / path)]
        return side, _place(source / path, data, target / side / path, link), len(moved)

    results = dict(zip(listing.pictures, in_threads(work, listing.pictures, workers, progress), strict=True))
    rejected = [*(result for result in results.values() if isinstance(result, Rejection)), *listing.left_out]
    done = {path: result for path, result in results.items() if not isinstance(result, Rejection)}
    return Split(
        sides={path: side for path, (side, _, _) in done.items()},
        placed=sum(placed for _, placed, _ in done.values()),
        moved=sum(moved for _, _, moved in done.values()),
        stale=_stale(target, {f"{side}/{path}" for path, (side, _, _) in done.items()}),
        rejected=tuple(sorted(rejected, key=lambda rejection: byte_order(rejection.path))),
    )


def _place(origin: Path, data: bytes, goal: Path, link: bool) -> bool:
    """Put a file in its place unless it stands there already; tell whether anything was done."""
    if goal.exists() and (link if goal.samefile(origin) else goal.read_bytes() == data):
        return False
    goal.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(goal)
    partial.unlink(missing_ok=True)
    try:
        if not (link and _linked(origin, partial)):
            shutil.copyfile(origin, partial)
        partial.replace(goal)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _linked(origin: Path, goal: Path) -> bool:
    try:
        goal.hardlink_to(origin.resolve())
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
