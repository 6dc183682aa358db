"""Mutations of the product, each of which breaks a guarantee of docs/guarantees.md, kept as data."""

from __future__ import annotations

import ast
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DATA = Path(__file__).parent / "data"

GUARANTEES = ROOT / "docs" / "guarantees.md"


@dataclass(frozen=True)
class Mutation:
    """A change of one file that breaks a guarantee.

    Attributes:
        name: what the mutated product does wrong; unique.
        guarantee: beginning of the guarantee's row, enough to tell it from the others.
        file: the file to change, relative to the repository.
        old: text that occurs once in the file.
        new: what replaces it.
        tests: ``file::function`` of the tests that must fail, each of them.
    """

    name: str
    guarantee: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied_to(self, text: str) -> str:
        """Return the file's text, changed.

        Raises:
            ValueError: the old text does not occur exactly once.
        """
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name!r}: {self.old!r} occurs {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)

    @property
    def module(self) -> str:
        """The name by which the changed file is imported."""
        return self.file.removesuffix(".py").replace("/", ".")


def load(folder: Path = DATA) -> tuple[Mutation, ...]:
    """Read every mutation, in the order of the files' names and of their content."""
    return tuple(
        Mutation(**{**entry, "tests": tuple(entry["tests"])})
        for path in sorted(folder.glob("*.toml"))
        for entry in tomllib.loads(path.read_text())["mutation"]
    )


def guarantees(page: Path = GUARANTEES) -> tuple[str, ...]:
    """Return the first column of the table of guarantees."""
    rows = [line.split("|")[1].strip() for line in page.read_text().splitlines() if line.startswith("| ")]
    return tuple(rows[1:])


@cache
def functions_of(file: Path) -> frozenset[str]:
    """Return the names of the tests that a file defines."""
    definitions = (node for node in ast.parse(file.read_text()).body if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in definitions if node.name.startswith("test_"))
