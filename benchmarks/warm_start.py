"""Measures how many steps a training saves that begins with the model of the commit before it.

    python -m benchmarks.warm_start [--pairs 64] [--more 6] [--steps 600] [--seeds 2] [--pictures FOLDER]

For each seed: a parent is trained on `--pairs` facades; then, on these and `--more` new ones, one training from the
seed and one from the parent's weights. Both are measured every `EVERY` steps on the same held-out pairs, of which the
parent learnt none. Pairs of a folder can take the place of the facades.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pix2pix.facades.generator import facade
from pix2pix.hyperparameters import TrainParameters, resolve
from pix2pix.tensorflow import configure_tensorflow

SIZE, EVERY = 64, 25
SMALL = {"size": SIZE, "scale_size": SIZE, "flip": False, "ngf": 16, "ndf": 16, "batch_size": 4, "learning_rate": 1e-3}
"""The parameters of the demo."""
SHOWN = (25, 50, 100, 200, 400)


def write_pairs(folder: Path, options: argparse.Namespace, seed: int, count: int) -> Path:
    """Write the first pairs of a series, or those of the folder that the user gave."""
    folder.mkdir()
    if options.pictures is not None:
        paths = sorted(path for path in options.pictures.iterdir() if path.is_file())
        for index in np.random.default_rng(seed).permutation(len(paths))[:count]:
            shutil.copy(paths[index], folder)
        return folder
    for index in range(count):
        pair = np.concatenate(facade(SIZE, seed, index), axis=1)
        Image.fromarray(pair).save(folder / f"{index:04d}.png")
    return folder


def curve(folder: Path) -> dict[int, dict[str, float]]:
    """Return step -> held-out metrics of a training."""
    from pix2pix.training.metrics_log import read

    return {line["step"]: line["held_out"] for line in read(folder / "metrics.jsonl") if "held_out" in line}


def compare(out: Path, options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train parent, cold and warm; return the curves, and the seconds of each."""
    from pix2pix.training.first_weights import EarlierModel
    from pix2pix.training.train import train

    parameters: TrainParameters = resolve(
        "train", SMALL, {"max_steps": options.steps, "evaluation_steps": EVERY, "seed": seed, "save_seconds": 0.0}
    )
    before = write_pairs(out / "before", options, seed, options.pairs)
    after = write_pairs(out / "after", options, seed, options.pairs + options.more)
    parent = EarlierModel(out / "parent", "parent")
    results, begun = {}, {"parent": (before, None), "cold": (after, None), "warm": (after, parent)}
    for name, (pairs, earlier) in begun.items():
        started = time.monotonic()
        trained = train(pairs, out / name, parameters, earlier=earlier)
        results[name] = {
            "curve": curve(out / name),
            "seconds": time.monotonic() - started,
            "held_out": len(trained.held_out),
        }
    return results


def reached(metrics: dict[int, dict[str, float]], level: float) -> int | None:
    """Return the first measured step at which the held-out L1 is as good as a level."""
    return next((step for step, found in sorted(metrics.items()) if found["l1"] <= level), None)


def line_of(name: str, found: dict[str, Any], steps: int, levels: list[float]) -> str:
    """Return one line of the table, with the first measured step at which each level of L1 is reached."""
    metrics = found["curve"]
    cells = [f"{metrics[step]['l1']:.4f}" if step in metrics else "-" for step in (*SHOWN, steps)]
    at = " | ".join(str(reached(metrics, level) or "-") for level in levels)
    end = f"{metrics[steps]['ssim']:.3f} | {at} | {found['seconds']:.0f}"
    return f"| {name}, {found['held_out']} held out | {' | '.join(cells)} | {end} |"


def main() -> None:
    """Compare, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--more", type=int, default=6)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--pictures", type=Path, help="folder of A|B pairs to take instead of facades")
    options = parser.parse_args()
    configure_tensorflow()
    print(f"{platform.machine()}, {os.cpu_count()} cores, {datetime.now(UTC):%Y-%m-%d}; held-out L1 after steps")
    heads = ("SSIM at the end", "steps to parent's last L1", "steps to cold's last L1", "seconds")
    print(f"| | {' | '.join(map(str, (*SHOWN, options.steps, *heads)))} |")
    print(f"|---|{'---:|' * (len(SHOWN) + 1 + len(heads))}")
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found = compare(Path(folder), options, seed)
        levels = [found[name]["curve"][options.steps]["l1"] for name in ("parent", "cold")]
        for name, result in found.items():
            print(line_of(f"{name}, seed {seed}", result, options.steps, levels), flush=True)


if __name__ == "__main__":
    main()
