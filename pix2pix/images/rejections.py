"""Rejection codes, and the record of a rejected file."""

from __future__ import annotations

from dataclasses import dataclass

EMPTY = "EMPTY"
UNREADABLE = "UNREADABLE"
FORMAT_NOT_ALLOWED = "FORMAT_NOT_ALLOWED"
UNSUPPORTED = "UNSUPPORTED"
TRUNCATED = "TRUNCATED"
DAMAGED = "DAMAGED"
TOO_LARGE = "TOO_LARGE"
TOO_SMALL = "TOO_SMALL"
ASPECT = "ASPECT"
MULTI_FRAME = "MULTI_FRAME"
SAMPLE_RANGE = "SAMPLE_RANGE"
NOT_FINITE = "NOT_FINITE"
BAD_PAIR = "BAD_PAIR"
UNPAIRED = "UNPAIRED"
NOT_A_PICTURE = "NOT_A_PICTURE"
BAD_PATH = "BAD_PATH"
NAME_COLLISION = "NAME_COLLISION"

CODES: dict[str, str] = {
    EMPTY: "The file has no bytes.",
    UNREADABLE: "The file cannot be read: no permission, a dangling link, not a regular file.",
    FORMAT_NOT_ALLOWED: "The content is not one of the supported formats, whatever the name is.",
    UNSUPPORTED: "A valid file of a kind that is not supported; the reason names the kind and what to save instead.",
    TRUNCATED: "The file ends before its picture is complete.",
    DAMAGED: "The content contradicts itself: a wrong checksum, an impossible header, undecodable data.",
    TOO_LARGE: "Over 50 megapixels, 16,384 pixels per side, 512 MiB, 100 JPEG scans or the limit of unpacked metadata.",
    TOO_SMALL: "A side is under 2 pixels.",
    ASPECT: "One side is more than 20 times the other.",
    MULTI_FRAME: 'An animation or a file of several pages; `frames = "first"` in [resize] takes the first.',
    SAMPLE_RANGE: "Signed integers, or floats outside 0 to 65,535; `range = [low, high]` in [resize] declares both.",
    NOT_FINITE: "Floating point samples that are infinite or not a number.",
    BAD_PAIR: "Not an A|B pair: an odd width, or halves of different sizes.",
    UNPAIRED: "A picture without its counterpart in the other folder.",
    NOT_A_PICTURE: "A hidden file, or one that is not a picture by its content or, in a commit, by its name.",
    BAD_PATH: "A path that leaves the folder or that some file systems refuse.",
    NAME_COLLISION: "Another input, first in byte order, has the same output name.",
}
"""Code -> its meaning."""


@dataclass(frozen=True)
class Rejection:
    """A file that was left out.

    Attributes:
        path: the file, relative to its folder, in POSIX form.
        code: one of `CODES`.
        reason: an explanation for people, with the values that decided.
    """

    path: str
    code: str
    reason: str
