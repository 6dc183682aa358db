"""The slices of the long tests: other ones at each commit, within their seconds, and none is left out for ever."""

from __future__ import annotations

import ast
from pathlib import Path

from long_slices import UNKNOWN, chosen, durations

TESTS = [f"tests/a.py::test_{number}[{case}]" for number in range(20) for case in "xy"]
SECONDS = {f"tests/a.py::test_{number}": float(number) for number in range(20)}
COMMITS = [f"{number:040x}" for number in range(60)]

DEFAULT = 90.0
"""Seconds of a slice; ROTATION_SECONDS of the Makefile."""


def test_a_commit_has_one_slice_and_another_one_another() -> None:
    slices = {tuple(chosen(TESTS, commit, 60.0, SECONDS)) for commit in COMMITS}
    assert len(slices) > 50
    assert chosen(TESTS, COMMITS[0], 60.0, SECONDS) == chosen(reversed(TESTS), COMMITS[0], 60.0, SECONDS)


def test_a_slice_keeps_to_its_seconds_and_uses_them() -> None:
    for commit in COMMITS:
        spent = sum(SECONDS[test.partition("[")[0]] for test in chosen(TESTS, commit, 60.0, SECONDS))
        assert 50.0 < spent <= 60.0


def test_every_test_has_its_turn() -> None:
    assert {test for commit in COMMITS for test in chosen(TESTS, commit, 60.0, SECONDS)} == set(TESTS)


def test_a_test_without_a_duration_is_taken_for_a_middling_one() -> None:
    assert len(chosen(TESTS, COMMITS[0], 3 * UNKNOWN, {})) == 3


def test_the_table_names_long_tests_alone_and_each_of_them_fits_into_a_slice() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text()
    assert f"ROTATION_SECONDS ?= {DEFAULT:.0f}\n" in makefile
    assert set(durations()) <= set(_long_tests())
    assert {name: seconds for name, seconds in durations().items() if seconds > DEFAULT} == {}


def _long_tests() -> list[str]:
    """Return ``file::function`` of every test with the marker `long`."""
    root = Path(__file__).parents[2]
    return [
        f"{path.relative_to(root)}::{node.name}"
        for path in sorted((root / "tests").rglob("test_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and "mark.long" in "".join(map(ast.unparse, node.decorator_list))
    ]
