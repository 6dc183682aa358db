"""Groups nearly equal pictures, so that a split by content keeps each group on one side."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pix2pix.datasets.alignment import descriptor, outlines
from pix2pix.datasets.near_duplicates import HalfOutlines, Hash, Indices, near_copies, perceptual_hash
from pix2pix.errors import PictureError
from pix2pix.images.codec import Pixels
from pix2pix.images.thread_map import in_threads

FEWEST_ALIKE = 20
"""Number of pictures from which a group of more than half of them is ignored: the set has one subject, such as the
frames of one scene, and would lie on one side as a whole."""


@dataclass(frozen=True)
class GroupMember:
    """A picture as groups see it.

    Attributes:
        digest: SHA-256 of the file, hex.
        area: number of pixels.
        hash: perceptual hash of the right half.
    """

    digest: str
    area: int
    hash: Hash


@dataclass(frozen=True)
class Grouping:
    """Result of `group`.

    Attributes:
        deciding: for each picture the digest that decides its side, equal within a group.
        copies: number of pictures that nearly equal another one, and are kept on its side.
        too_alike: number of pictures in a group that was dissolved since it held more than half of them.
    """

    deciding: tuple[str, ...]
    copies: int
    too_alike: int


def member(digest: str, area: int, pixels: Pixels) -> GroupMember:
    """Describe a picture for `group`.

    Args:
        digest: SHA-256 of the file, hex.
        area: number of pixels of the picture in the file.
        pixels: uint8 [H, W, 3], W at least 2; an A|B pair or any other picture, possibly reduced.
    """
    return GroupMember(digest, area, perceptual_hash(_halves(pixels)[1]))


def group(members: Sequence[GroupMember], read: Callable[[int], Pixels], workers: int | None = None) -> Grouping:
    """Group pictures that nearly equal each other, directly or through others.

    The side of a group is decided by its largest picture; by a digest of the content among equally large ones. A
    picture that nearly equals no other one is decided by its own content, whatever else there is. Adding a picture
    can change the side of those that it nearly equals, if it is larger than all of them or first by the digest.

    Args:
        members: the pictures.
        read: decodes the picture at an index; called for those that may nearly equal another one.
        workers: threads; None means one per core.
    """
    labels = np.arange(len(members))
    if len(members) > 1:
        hashes = np.stack([one.hash for one in members])
        for first, later, _ in near_copies(hashes, lambda indices: _outlines(indices, read, workers)):
            joined = np.unique(labels[np.append(later, first)])
            if len(joined) > 1:
                labels[np.isin(labels, joined)] = joined[0]
    sizes = Counter(labels.tolist())
    dissolved = {label for label, size in sizes.items() if 2 * size > len(members) >= FEWEST_ALIKE}
    leaders: dict[int, GroupMember] = {}
    for label, one in zip(labels.tolist(), members, strict=True):
        leaders[label] = min(leaders.get(label, one), one, key=_rank)
    return Grouping(
        deciding=tuple(
            one.digest if label in dissolved else leaders[label].digest
            for label, one in zip(labels.tolist(), members, strict=True)
        ),
        copies=sum(size - 1 for label, size in sizes.items() if label not in dissolved),
        too_alike=sum(sizes[label] for label in dissolved),
    )


def _rank(one: GroupMember) -> tuple[int, bytes]:
    # Not the digest itself: `pix2pix split` uses it as the place, so that the first one would always be trained on.
    return -one.area, hashlib.sha256(f"group {one.digest}".encode()).digest()


def _outlines(indices: Indices, read: Callable[[int], Pixels], workers: int | None) -> HalfOutlines:
    def draw(index: int) -> tuple[np.ndarray, np.ndarray]:
        try:
            halves = _halves(read(index))
        except PictureError:  # it changed since it was listed; the reader of the result reports it
            halves = (np.zeros((2, 2, 3), np.uint8),) * 2
        left, right = (descriptor(outlines(half)).ravel() for half in halves)
        return left, right

    drawn = in_threads(draw, indices.tolist(), workers)
    return np.stack([left for left, _ in drawn]), np.stack([right for _, right in drawn])


def _halves(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """Cut a picture in the middle; the last column of an odd width is dropped."""
    width = pixels.shape[1] // 2
    return np.ascontiguousarray(pixels[:, :width]), np.ascontiguousarray(pixels[:, width : 2 * width])
