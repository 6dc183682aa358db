"""Measures the cost of saves to a training: seconds per save, and the slowdown at the default interval.

    python -m benchmarks.saving [--size 256] [--filters 64] [--steps 12] [--rounds 3]

Two trainings take turns, round by round: one never saves, one saves every `SAVE_STEPS` steps and sends each state to a
store in another process. Processor seconds are printed besides seconds, since they depend little on the load of the
machine; the share of the time at the interval that the training would choose is computed from both.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pachyderm.client.connection import Target, connect
from pachyderm.output.work_in_progress import kept
from pix2pix.hyperparameters import TrainParameters, resolve
from pix2pix.tensorflow import configure_tensorflow
from pix2pix.training.saving import Cost, Saver, seconds_between_saves

SAVE_STEPS = 4


@dataclass
class TrainingTimes:
    """The times of one training: seconds per step, and its saves."""

    seconds: float
    processor_seconds: float
    costs: list[Cost]


class MeasuredSaver(Saver):
    """A saver that records the cost of each save."""

    costs: list[Cost]

    def wait(self) -> None:
        """Wait, and record the cost."""
        running = self._running
        super().wait()
        if running is not None and self._cost is not None:
            type(self).costs.append(self._cost)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a store in another process, and return its address."""
    command = [sys.executable, "-m", "cli.main", "--store", str(folder), "store", "serve", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def pairs(folder: Path, size: int) -> Path:
    """Write four pairs of noise."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(draw.integers(0, 255, (size, 2 * size, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def measure_training(
    source: Path, work: Path, parameters: TrainParameters, on_saved: Callable[[], None]
) -> TrainingTimes:
    """Train, and measure from the second step, after compilation, to the last but one."""
    ticks: list[tuple[float, float]] = []
    MeasuredSaver.costs = []
    from pix2pix.training.train import train

    train(
        source,
        work,
        parameters,
        on_saved=on_saved,
        progress=lambda *_: ticks.append((time.perf_counter(), time.process_time())),
    )
    first, last = ticks[1], ticks[-2]
    steps = len(ticks) - 3
    return TrainingTimes((last[0] - first[0]) / steps, (last[1] - first[1]) / steps, MeasuredSaver.costs[:-1])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("size", 256), ("filters", 64), ("steps", 12), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    configure_tensorflow()
    from pix2pix.training import train as training

    training.Saver = MeasuredSaver  # type: ignore[misc]
    shape = {"size": options.size, "scale_size": options.size, "ngf": options.filters, "ndf": options.filters}
    never = resolve("train", {**shape, "max_steps": options.steps, "save_seconds": 0.0, "held_out": 0.0, "flip": False})
    often = resolve("train", {**shape, "max_steps": options.steps, "save_seconds": 0.0, "held_out": 0.0, "flip": False,
                              "save_steps": SAVE_STEPS})  # fmt: skip
    found: dict[str, list[TrainingTimes]] = {"never": [], "often": []}
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch) / "store") as address:
        folder = Path(scratch)
        source = pairs(folder / "pairs", options.size)
        with connect(Target(pachd=f"grpc://{address}")) as client:
            for number in range(options.rounds):
                found["never"].append(measure_training(source, folder / f"never{number}", never, lambda: None))
                work = folder / f"often{number}"
                work.mkdir()
                with kept(client, f"{number:064d}", work, lambda _: None) as save:
                    found["often"].append(measure_training(source, work, often, save))
                print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    show(found)


def show(found: dict[str, list[TrainingTimes]]) -> None:
    """Print the table."""
    costs = [cost for times in found["often"] for cost in times.costs]
    cost = Cost(statistics.median(c.blocked for c in costs), statistics.median(c.whole for c in costs))
    interval = seconds_between_saves(60.0, cost)
    print(f"a save: training blocked for {cost.blocked:.2f} s; stored after {cost.whole:.2f} s; every {interval:.0f} s")
    for unit, name in (("seconds", "seconds"), ("processor seconds", "processor_seconds")):
        plain, saving = (
            statistics.median(getattr(times, name) for times in found[saves]) for saves in ("never", "often")
        )
        extra = (saving - plain) * SAVE_STEPS
        steps = interval / statistics.median(times.seconds for times in found["never"])
        print(f"{unit} per step: {plain:.2f}; a save costs {extra:.2f}, {extra / (plain * steps):.1%} at that interval")


if __name__ == "__main__":
    main()
