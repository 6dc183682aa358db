"""The slice of the long tests that runs at a commit: another one for each, within a number of seconds."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

DURATIONS = Path(__file__).with_name("long_durations.toml")
"""Test without its parameters -> seconds of its slowest case at the volume of the rotation."""

UNKNOWN = 20.0
"""Seconds of a test that is not in the table."""


def durations(file: Path = DURATIONS) -> dict[str, float]:
    """Read the table of durations."""
    return {name: float(seconds) for name, seconds in tomllib.loads(file.read_text())["seconds"].items()}


def chosen(tests: Iterable[str], commit: str, budget: float, seconds: Mapping[str, float]) -> list[str]:
    """Choose the tests of a commit's slice.

    Args:
        tests: ids of all long tests, ``file::function[parameters]``.
        commit: the commit's hash, which decides on the order.
        budget: seconds that the slice may take.
        seconds: see `durations`.

    Returns:
        ids in the order in which they are to run. A test that does not fit any more makes room for the next ones.
    """
    found, left = [], budget
    for test in sorted(tests, key=lambda name: hashlib.sha256(f"{commit} {name}".encode()).digest()):
        cost = seconds.get(test.partition("[")[0], UNKNOWN)
        if cost <= left:
            found.append(test)
            left -= cost
    return found
