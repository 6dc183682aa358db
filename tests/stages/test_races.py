"""Sixteen processes at one output commit leave one finished commit with one attempt's files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SEED = 20_261_121


def race(folder: Path, rounds: int, seconds: float) -> dict[str, Any]:
    program = Path(__file__).with_name("racers.py")
    command = [sys.executable, str(program), str(folder), str(rounds), str(seconds), str(SEED)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def test_of_sixteen_attempts_killed_and_paused_one_has_an_effect(tmp_path: Path) -> None:
    summary = race(tmp_path, rounds=1000, seconds=10.0)
    assert summary["problems"] == [], f"seed {SEED}"
    assert summary["rounds"] >= 1 and summary["killed"] + summary["paused"] >= 1


@pytest.mark.long
def test_of_sixteen_attempts_killed_and_paused_one_has_an_effect_a_thousand_times(
    tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    summary = race(tmp_path, rounds=1000, seconds=volume(7000, 40))
    print(summary)  # noqa: T201
    assert summary["problems"] == [], f"seed {SEED}"
