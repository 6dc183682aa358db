"""Benchmarks begin, however the pages call them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("program", [["benchmarks/store.py"], ["-m", "benchmarks.store"]], ids=" ".join)
def test_the_benchmark_of_large_volumes_runs_as_a_script_and_as_a_module(program: list[str]) -> None:
    command = [sys.executable, *program, "--volume", "--seconds", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "stopped before 10,000 files in one commit: set-up; call it again with the same folder\n"
