"""What pictures and trainings need on one machine: bytes in the store, memory of the largest process, seconds.

    python -m benchmarks.sizing [trainings|pictures]

The table of docs/operations.md. Each row is a command of `pix2pix` in a process of its own; pictures are procedural
photographs of 640 x 480, and models have the default hyperparameters except for those in the row.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent

PICTURES = (50, 500)
"""Numbers of pictures that are put and translated."""

TRAININGS = ({"size": 128, "ngf": 32}, {"size": 256, "ngf": 64}, {"size": 256, "ngf": 64, "batch_size": 8})
"""Hyperparameters of the trainings."""

STEPS = 6
"""Steps of each training: what is measured is what every training needs besides its steps."""

PAIRS = 20
MIB = 2**20


@dataclass(frozen=True)
class Row:
    """A command: MiB added to the store, MiB of its largest process, seconds on the clock and of processors."""

    what: str
    grown: float
    memory: float
    seconds: float
    used: float


def cost(store: Path, *words: str) -> tuple[float, float, float]:
    """Run a subcommand of `pix2pix` on a store.

    Returns:
        seconds on the clock, processor seconds, and MiB of its largest process.

    Raises:
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", "cli.main", "--store", str(store), "-q", *words]
    before = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}")
    return time.monotonic() - before, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def stored(store: Path) -> float:
    """Return the MiB of a store, without the folders of runs and their scratch files."""
    files = (path for path in store.rglob("*") if path.is_file())
    return sum(p.stat().st_size for p in files if p.relative_to(store).parts[0] not in ("runs", "scratch")) / MIB


def photograph(path: Path, seed: int, width: int, height: int) -> None:
    """Write a picture that compresses as a photograph does: soft shapes with some grain."""
    random = np.random.default_rng(seed)
    soft = cv2.resize(
        random.integers(0, 256, (9, 12, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    grain = random.normal(0, 6, (height, width, 1)).astype(np.float32)
    cv2.imwrite(str(path), np.clip(soft + grain, 0, 255).astype(np.uint8))


def pictures(folder: Path, count: int) -> float:
    """Write photographs, and return their MiB."""
    folder.mkdir()
    for number in range(count):
        photograph(folder / f"{number}.jpg", number, 640, 480)
    return sum(path.stat().st_size for path in folder.iterdir()) / MIB


def prepared(folder: Path) -> Path:
    """Return a store with pairs and a model that was trained for one step."""
    store, pairs = folder / "store", folder / "pairs"
    cost(store, "setup")
    pairs.mkdir()
    (pairs / "pix2pix.toml").write_text("[train]\nmax_steps = 1\nheld_out = 0\n", encoding="utf-8")
    for number in range(PAIRS):
        photograph(pairs / f"{number}.png", number, 512, 256)
    cost(store, "put", "training", str(pairs))
    cost(store, "run", "training_and_export")
    return store


def trainings(folder: Path) -> Iterator[Row]:
    """Yield a row for each training, with its export."""
    store = prepared(folder)
    for training in TRAININGS:
        given = [word for name, value in training.items() for word in ("-p", f"train.{name}={value}")]
        before = stored(store)
        seconds, used, memory = cost(store, "run", "training_and_export", *given, "-p", f"train.max_steps={STEPS}")
        text = ", ".join(f"`{name} = {value}`" for name, value in training.items())
        yield Row(f"train for {STEPS} steps and export, {text}", stored(store) - before, memory, seconds, used)


def translations(folder: Path) -> Iterator[Row]:
    """Yield rows for the upload of pictures, and for their way through a model of the default size."""
    store = prepared(folder)
    for count in PICTURES:
        taken = pictures(folder / str(count), count)
        before = stored(store)
        seconds, used, memory = cost(store, "put", "input_images", str(folder / str(count)), "--mirror")
        yield Row(f"`put`, {count} pictures, {taken:.1f} MiB", stored(store) - before, memory, seconds, used)
        before = stored(store)
        seconds, used, memory = cost(store, "run", "preprocessing_and_generation")
        yield Row(f"resize and generate, {count} pictures", stored(store) - before, memory, seconds, used)


PARTS = {"trainings": trainings, "pictures": translations}

if __name__ == "__main__":
    print("| | store grows by, MiB | largest process, MiB | seconds | processor seconds |\n|---|---|---|---|---|")
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as parent:
            for row in PARTS[name](Path(parent)):
                figures = f"{row.grown:.1f} | {row.memory:.0f} | {row.seconds:.0f} | {row.used:.0f}"
                print(f"| {row.what} | {figures} |", flush=True)
