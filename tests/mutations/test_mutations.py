"""Every guarantee has mutations that break it, and they fit the product and the tests as they are."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from mutations import ROOT, Mutation, functions_of, guarantees, load

MUTATIONS = load()

PER_GUARANTEE, ALTOGETHER = 3, 60


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_fits_its_file_and_its_tests(mutation: Mutation) -> None:
    text = (ROOT / mutation.file).read_text()
    changed = mutation.applied_to(text)
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(text)), "the code is the same"
    assert mutation.tests
    for test in mutation.tests:
        file, _, function = test.partition("::")
        assert function in functions_of(ROOT / file)


def test_names_are_unique() -> None:
    assert [name for name, count in Counter(mutation.name for mutation in MUTATIONS).items() if count > 1] == []


def test_every_guarantee_has_three_mutations_and_every_mutation_its_guarantee() -> None:
    found = Counter(row for mutation in MUTATIONS for row in guarantees() if row.startswith(mutation.guarantee))
    assert {row: found[row] for row in guarantees() if found[row] < PER_GUARANTEE} == {}
    assert found.total() == len(MUTATIONS) >= ALTOGETHER


def swept(*names: str) -> tuple[int, str]:
    """Sweep in a process of its own, which has not imported the product; return its exit code and its output."""
    command = [sys.executable, str(Path(__file__).with_name("sweep.py")), *names]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def test_a_mutation_is_killed_and_a_harmless_change_survives() -> None:
    code, output = swept("several callers get one claim", "--harmless")
    assert code == 1
    assert "SURVIVED" in output and "1 of 2 killed" in output, output


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_every_mutation_is_killed(volume: Callable[[int, int], int], pytestconfig: pytest.Config) -> None:
    """In the rotation, four of them that the commit chooses."""
    commit, names = pytestconfig.getoption("slice_of"), [mutation.name for mutation in MUTATIONS]
    names.sort(key=lambda name: hashlib.sha256(f"{commit} {name}".encode()).digest())
    code, output = swept(*names[: volume(len(names), 4)])
    assert code == 0, output
