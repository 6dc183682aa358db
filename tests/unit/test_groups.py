"""Nearly equal pictures form a group, whose side no other picture can change."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from seeded_pairs import edges, near_copy

from pix2pix.datasets import near_duplicates
from pix2pix.datasets.groups import FEWEST_ALIKE, Grouping, GroupMember, group, member
from pix2pix.datasets.near_duplicates import near_copies
from pix2pix.errors import PictureError
from pix2pix.images.codec import Pixels


def picture(index: int) -> Pixels:
    return np.concatenate(edges(2000 + index), axis=1)


def copy_of(index: int, seed: int = 0) -> Pixels:
    return np.concatenate(near_copy(edges(2000 + index), np.random.default_rng(seed)), axis=1)


def members(pictures: list[Pixels]) -> list[GroupMember]:
    return [member(hashlib.sha256(p.tobytes()).hexdigest(), p.shape[0] * p.shape[1], p) for p in pictures]


def grouped(pictures: list[Pixels]) -> tuple[Grouping, list[str]]:
    found = members(pictures)
    return group(found, pictures.__getitem__, workers=2), [one.digest for one in found]


def test_a_near_copy_is_decided_with_its_original_and_any_other_picture_by_its_own_content() -> None:
    pictures = [picture(n) for n in range(8)] + [copy_of(2), copy_of(2, 1), copy_of(5)]
    grouping, digests = grouped(pictures)
    deciding = grouping.deciding
    assert deciding[2] == deciding[8] == deciding[9]
    assert deciding[5] == deciding[10]
    assert deciding[2] != deciding[5]
    assert {n for n in range(11) if deciding[n] == digests[n]} >= {0, 1, 3, 4, 6, 7}
    assert {deciding[2], deciding[5]} <= set(digests)
    assert (grouping.copies, grouping.too_alike) == (3, 0)


def test_the_order_of_the_pictures_decides_nothing() -> None:
    pictures = [picture(n) for n in range(6)] + [copy_of(n) for n in range(3)]
    grouping, digests = grouped(pictures)
    backwards, turned = grouped(pictures[::-1])
    assert dict(zip(digests, grouping.deciding, strict=True)) == dict(zip(turned, backwards.deciding, strict=True))


def test_other_pictures_and_smaller_copies_change_the_side_of_none() -> None:
    pictures = [picture(n) for n in range(6)] + [copy_of(0)]
    before, _ = grouped(pictures)
    half = [cv2.resize(picture(n), (128, 64), interpolation=cv2.INTER_AREA) for n in (0, 1, 2)]
    after, _ = grouped([*pictures, *(picture(n) for n in range(10, 20)), *half])
    assert after.deciding[:7] == before.deciding
    assert after.deciding[-3:] == (before.deciding[0], before.deciding[1], before.deciding[2])


def test_pictures_that_nearly_equal_each_other_through_others_are_one_group() -> None:
    base = picture(0)
    steps = [np.roll(base, step, axis=1) for step in range(12)]
    hashes = np.stack([one.hash for one in members(steps)])
    apart = np.bitwise_count(hashes[0] ^ hashes[-1]).sum()
    grouping, _ = grouped(steps)
    assert apart > near_duplicates.MOST_BITS
    assert len(set(grouping.deciding)) == 1


def test_a_set_of_one_subject_is_not_one_group() -> None:
    pictures = [copy_of(0, seed) for seed in range(FEWEST_ALIKE)] + [picture(1)]
    grouping, digests = grouped(pictures)
    assert list(grouping.deciding) == digests
    assert (grouping.copies, grouping.too_alike) == (0, FEWEST_ALIKE)
    fewer, _ = grouped(pictures[2:])
    assert (fewer.copies, fewer.too_alike) == (FEWEST_ALIKE - 3, 0)


def test_constant_pictures_are_no_copies_of_each_other() -> None:
    grouping, digests = grouped([np.full((8, 8, 3), value, np.uint8) for value in (0, 1, 2, 255)])
    assert list(grouping.deciding) == digests


def test_only_pictures_with_close_hashes_are_read_again() -> None:
    pictures = [picture(n) for n in range(12)] + [copy_of(3)]
    read: list[int] = []

    def again(index: int) -> Pixels:
        read.append(index)
        return pictures[index]

    group(members(pictures), again, workers=1)
    assert sorted(read) == [3, 12]


def test_a_picture_that_cannot_be_read_again_is_in_no_group() -> None:
    def vanished(index: int) -> Pixels:
        raise PictureError("UNREADABLE", "gone")

    found = members([picture(0), copy_of(0)])
    assert group(found, vanished).deciding == (found[0].digest, found[1].digest)


@pytest.mark.parametrize("pictures", [[], [picture(0)], [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3, 3), np.uint8)]])
def test_few_and_tiny_pictures_are_decided_by_their_own_content(pictures: list[Pixels]) -> None:
    grouping, digests = grouped(pictures)
    assert list(grouping.deciding) == digests


def test_close_hashes_are_found_across_the_rows_that_are_held_at_once() -> None:
    hashes = np.random.default_rng(0).integers(0, 2**63, (600, 4), dtype=np.uint64)
    for second, first in ((550, 3), (4, 3), (580, 555)):
        hashes[second] = hashes[first] ^ np.uint64(0b101)
    drawn = np.ones((600, 1), np.float32)
    found = [
        (first, int(second), int(bits))
        for first, later, distances in near_copies(hashes, lambda indices: (drawn[indices], drawn[indices]))
        for second, bits in zip(later, distances, strict=True)
    ]
    assert found == [(3, 4, 8), (3, 550, 8), (4, 550, 0), (555, 580, 8)]
