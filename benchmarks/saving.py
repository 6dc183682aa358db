"""Measures what saving costs a training: seconds per save, and by how much it slows the steps down at its own pace.

    python -m benchmarks.saving [--size 256] [--filters 64] [--steps 12] [--rounds 3]

Two trainings take turns, round by round: one never saves, one saves every `SAVE_STEPS` steps and sends each state to a
store that another process serves. Processor seconds are printed beside seconds, for they change little with what else
the machine does; the share at the pace that the training would choose is computed from either.
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
from pix2pix.training import train as training
from pix2pix.training.saving import Cost, Saver, seconds_between_saves

SAVE_STEPS = 4


@dataclass
class Measured:
    """What one training took."""

    seconds: float
    processor_seconds: float
    costs: list[Cost]


class MeasuredSaver(Saver):
    """A saver that keeps what each save cost."""

    costs: list[Cost]

    def wait(self) -> None:
        """Wait, and keep the cost."""
        before = self._under_way
        super().wait()
        if before is not None and self._cost is not None:
            type(self).costs.append(self._cost)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a store in a process of its own."""
    command = [sys.executable, "-m", "cli.main", "--store", str(folder), "store", "serve", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def pairs(folder: Path, size: int) -> Path:
    """Four pairs of noise."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(4):
        Image.fromarray(draw.integers(0, 255, (size, 2 * size, 3), np.uint8)).save(folder / f"{number}.png")
    return folder


def one_training(source: Path, work: Path, parameters: TrainParameters, on_saved: Callable[[], None]) -> Measured:
    """Train, and measure from the second step, when everything is compiled, to the last but one."""
    ticks: list[tuple[float, float]] = []
    MeasuredSaver.costs = []
    training.train(
        source,
        work,
        parameters,
        on_saved=on_saved,
        progress=lambda *_: ticks.append((time.perf_counter(), time.process_time())),
    )
    first, last = ticks[1], ticks[-2]
    steps = len(ticks) - 3
    return Measured((last[0] - first[0]) / steps, (last[1] - first[1]) / steps, MeasuredSaver.costs[:-1])


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("size", 256), ("filters", 64), ("steps", 12), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    training.Saver = MeasuredSaver  # type: ignore[misc]
    shape = {"size": asked.size, "scale_size": asked.size, "ngf": asked.filters, "ndf": asked.filters}
    never = resolve("train", {**shape, "max_steps": asked.steps, "save_seconds": 0.0, "held_out": 0.0, "flip": False})
    often = resolve("train", {**shape, "max_steps": asked.steps, "save_seconds": 0.0, "held_out": 0.0, "flip": False,
                              "save_steps": SAVE_STEPS})  # fmt: skip
    found: dict[str, list[Measured]] = {"never": [], "often": []}
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch) / "store") as address:
        folder = Path(scratch)
        source = pairs(folder / "pairs", asked.size)
        with connect(Target(pachd=f"grpc://{address}")) as client:
            for number in range(asked.rounds):
                found["never"].append(one_training(source, folder / f"never{number}", never, lambda: None))
                work = folder / f"often{number}"
                work.mkdir()
                with kept(client, f"{number:064d}", work, lambda _: None) as save:
                    found["often"].append(one_training(source, work, often, save))
                print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    show(found)


def show(found: dict[str, list[Measured]]) -> None:
    """Print the table."""
    costs = [cost for measured in found["often"] for cost in measured.costs]
    cost = Cost(statistics.median(c.blocked for c in costs), statistics.median(c.whole for c in costs))
    interval = seconds_between_saves(60.0, cost)
    print(
        f"a save: training stands still {cost.blocked:.2f} s; stored after {cost.whole:.2f} s; every {interval:.0f} s"
    )
    for what, seconds in (("seconds", "seconds"), ("processor seconds", "processor_seconds")):
        plain, saving = (statistics.median(getattr(m, seconds) for m in found[name]) for name in ("never", "often"))
        extra = (saving - plain) * SAVE_STEPS
        steps = interval / statistics.median(m.seconds for m in found["never"])
        print(f"{what} a step: {plain:.2f}; a save costs {extra:.2f}, {extra / (plain * steps):.1%} at that pace")


if __name__ == "__main__":
    main()
