"""Measures how well a training keeps its time budget.

Run ``python -m benchmarks.budget [--minutes 1 2] [--pairs NAME=FOLDER ...]`` on a machine that does nothing else. Every
training is a process of its own, as ``pix2pix train --minutes N`` starts it; without folders, the pairs are 64
procedural facades of 64 pixels, as in the demo. The budget counts from when TensorFlow is loaded to the end.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pix2pix.facades import generator

HERE = Path(__file__).parent


def train(pairs: Path, work: Path, minutes: float) -> tuple[float, dict[str, object], dict[str, object]]:
    """Train; return the seconds of the whole process, what the command printed, and the hyperparameters."""
    command = [
        sys.executable,
        "-m",
        "cli.main",
        "train",
        str(pairs),
        str(work),
        "--minutes",
        str(minutes),
        "--json",
        "-q",
    ]
    began = time.perf_counter()
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(HERE.parent)}
    )
    seconds = time.perf_counter() - began
    return seconds, json.loads(done.stdout), json.loads((work / "hyperparameters.json").read_text(encoding="utf-8"))


def loading() -> float:
    """Return the seconds that Python and TensorFlow take to start."""
    code = "from pix2pix.tensorflow import configure_tensorflow; configure_tensorflow(); import pix2pix.training.train"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(HERE.parent)})
    return time.perf_counter() - began


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 2.0])
    parser.add_argument("--pairs", nargs="*", default=[], metavar="NAME=FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = {given.partition("=")[0]: Path(given.partition("=")[2]) for given in options.pairs}
        if not sets:
            sets = {"facades": folder / "facades"}
            generator.make_pairs(sets["facades"], 64, 64, seed=1)
        start = loading()
        print(f"Python and TensorFlow start in {start:.1f} s, which is no part of the budget.\n")
        print("| pairs | minutes | size | filters | batch | steps | held-out L1 | used, s | used / budget |")
        print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
        for label, pairs in sets.items():
            for minutes in options.minutes:
                seconds, result, chosen = train(pairs, folder / f"{label}.{minutes}", minutes)
                used, metrics = seconds - start, result["metrics"]
                numbers = [chosen[key] for key in ("size", "ngf", "batch_size", "max_steps")]
                cells = [label, f"{minutes:g}", *map(str, numbers), f"{metrics.get('l1', float('nan')):.3f}"]
                print(f"| {' | '.join(cells)} | {used:.0f} | {used / minutes / 60:.0%} |", flush=True)


if __name__ == "__main__":
    main()
