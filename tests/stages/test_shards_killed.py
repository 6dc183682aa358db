"""Runs that fan out, with real kills of any of their tasks, leave one commit with all pictures each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SEED = int(os.environ.get("KILLS_SEED", "20261127"))
"""Of the random kills: with another one, `--volume 0.1` makes another tenth of them."""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_200_kills_of_planning_computing_and_publishing_tasks_lose_nothing_and_compute_nothing_needlessly(
    tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    program = Path(__file__).with_name("shard_racers.py")
    command = [sys.executable, str(program), str(tmp_path), str(volume(200, 6)), str(SEED)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    print(summary)  # noqa: T201
    assert summary["problems"] == [], f"seed {SEED}"
    assert set(summary["kills"]) == {"plan", "shard", "publishing shard"}
