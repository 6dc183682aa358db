"""Measures training, generation and the input pipeline on one GPU, in at most 8 minutes.

    python -m benchmarks.gpu [--torch-python PATH] [--seconds 460]
    python -m benchmarks.gpu --rehearse     # tiny sizes, also without a GPU: whether everything starts

It needs what requirements/gpu.txt installs; PyTorch is left out, with a message, if the Python given (or this one)
lacks it. Contenders run one after the other, each in a process of its own, the most important figures first; what does
not fit into the time is named; all of it takes about 25 minutes (``--seconds 1400``). Most of the time goes to the
warm-ups of XLA, about 2 minutes for each batch size and precision on an H200. Prints Markdown tables for
docs/performance.md; warm-up is the time to build the networks and to run twice.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.model import Contender, cpu

LONGEST = 240.0
"""Seconds after which a measurement is given up: torch.compile and XLA may take most of them at first."""

IMPORTANT = 2
"""Contenders of `TRAINING` that are measured before generation."""


@dataclass(frozen=True)
class Variant:
    """A contender in one setting.

    Attributes:
        name: in the table.
        module: of `benchmarks.peers`.
        arguments: of its functions.
    """

    name: str
    module: str
    arguments: dict[str, object]


def _ours(precision: str, xla: str) -> Variant:
    name = f"ours, {precision}{', XLA' if xla == 'on' else ''}"
    return Variant(name, "ours", {"precision": precision, "xla": xla})


def _torch(precision: str, compiled: bool) -> Variant:
    name = f"torch {'compiled' if compiled else 'eager'}, {precision}"
    return Variant(name, "torch_gpu", {"precision": precision, "compiled": compiled})


TRAINING = (
    _ours("bfloat16", "on"),
    _torch("bfloat16", False),
    _torch("bfloat16", True),
    _ours("bfloat16", "off"),
    _ours("float32", "off"),
    _torch("float32", False),
    _ours("float32", "on"),
    _torch("float32", True),
)
"""The most important first."""

GENERATION = (
    Variant("ours, SavedModel", "ours", {"engine": "tensorflow"}),
    _torch("float32", False),
    _torch("bfloat16", True),
)


class Utilisation:
    """Samples nvidia-smi twice a second while its block runs; nothing without nvidia-smi."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._ended = threading.Event()

    def __enter__(self) -> Utilisation:
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(5)

    def _sample(self) -> None:
        while not self._ended.wait(0.5):
            values = smi("utilization.gpu")
            self._samples += [float(values[0])] if values and values[0].isdigit() else []

    def median(self) -> str:
        """Return the median of the samples."""
        return f"{statistics.median(self._samples):.0f} %" if self._samples else "-"


def smi(*fields: str) -> list[str]:
    """Return fields of the first GPU; empty without nvidia-smi."""
    if shutil.which("nvidia-smi") is None:
        return []
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        shown = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [field.strip() for field in shown.splitlines()[0].split(",")]


def version(python: str, distribution: str) -> str:
    """Return the version of a distribution that a Python has installed, without importing it."""
    code = f"from importlib.metadata import version; print(version('{distribution}'))"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "not found"


class Bench:
    """Measures within a deadline.

    Args:
        options: of the command line.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._deadline = time.monotonic() + options.seconds
        small = options.rehearse
        self._shape = {"size": 32, "filters": 4} if small else {"size": 256, "filters": 64}
        self.training_batches = (1, 2) if small else (1, 4, 16)
        self.generation_batches = (1, 2) if small else (1, 8, 64)

    def measure(self, variant: Variant, function: str, batches: tuple[int, ...]) -> None:
        """Print a row for each batch size."""
        python = sys.executable if variant.module == "ours" else self._options.torch_python
        contender = Contender(variant.name, variant.module, python, ONE_RUN="1")
        try:
            for batch in batches:
                if contender.ended():  # given up at the batch before
                    contender = Contender(variant.name, variant.module, python, ONE_RUN="1")
                left = self._deadline - time.monotonic()
                if left < 5:
                    print(f"| {variant.name} | {batch} | left out: no time | | | | |", flush=True)
                    continue
                limit, start = min(left, LONGEST), time.monotonic()
                watchdog = threading.Timer(limit, contender.kill)
                watchdog.start()
                arguments = {**variant.arguments, "batch": batch, **self._shape}
                reply, utilisation = self._repeated(contender, function, arguments)
                watchdog.cancel()
                if "error" in reply and time.monotonic() - start >= limit:
                    reply = {"error": f"not done after {limit:.0f} s"}
                print(f"| {variant.name} | {batch} | {_figures(reply, function, batch, utilisation)} |", flush=True)
        finally:
            contender.close()

    def _repeated(
        self, contender: Contender, function: str, arguments: dict[str, object]
    ) -> tuple[dict[str, object], Utilisation]:
        """Run for about three seconds after a first measurement, during which nvidia-smi is not asked."""
        utilisation = Utilisation()
        reply = contender.run(function, 3, **arguments)
        if "error" in reply or self._options.rehearse:
            return reply, utilisation
        count = int(min(2000, max(5, 3 / max(1e-4, statistics.median(reply["seconds"])))))
        with utilisation:
            return contender.run(function, count, **arguments), utilisation

    def input_pipeline(self) -> None:
        """Print the pairs per second that the host can prepare."""
        code = "from benchmarks.model import input_pipeline; input_pipeline(1)"
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        left = max(10.0, self._deadline - time.monotonic())
        try:
            subprocess.run([sys.executable, "-c", code], env=environment, timeout=min(left, LONGEST), check=True)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"\nInput pipeline: left out: {type(error).__name__}")


def _figures(reply: dict[str, object], function: str, batch: int, utilisation: Utilisation) -> str:
    if "error" in reply:
        return f"left out: {str(reply['error']).splitlines()[0]} | | | |"
    seconds = statistics.median(reply["seconds"])
    per_second, rate = 1 / seconds, batch / seconds
    figures = f"{per_second:.2f} | {rate:.1f}" if function == "step" else f"{1000 * seconds:.1f} ms | {rate:.1f}"
    memory = f"{reply.get('gpu_megabytes', 0):.0f} MiB"
    return f"{figures} | {memory} | {utilisation.median()} | {reply['warm_up']:.0f} s"


def heading(what: str, figure: str) -> str:
    """Return the first lines of a table."""
    columns = (what, "batch", figure, "pictures/s", "peak memory", "utilisation", "warm-up")
    return f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", default=sys.executable, help="a Python with PyTorch")
    parser.add_argument("--seconds", type=float, default=460.0, help="no measurement begins later")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes, one round")
    options = parser.parse_args()
    card = ", ".join(smi("name", "driver_version", "memory.total")) or "no GPU found by nvidia-smi"
    print(f"{card} MiB; {cpu()}; Python {platform.python_version()}; {datetime.now(UTC):%Y-%m-%d}")
    print(f"TensorFlow {version(sys.executable, 'tensorflow')}; torch {version(options.torch_python, 'torch')}")
    print(f"`{Path(sys.executable).name} -m benchmarks.gpu {' '.join(sys.argv[1:])}`\n", flush=True)
    bench = Bench(options)
    print(heading("training step", "steps/s"))
    for variant in TRAINING[:IMPORTANT]:
        bench.measure(variant, "step", bench.training_batches)
    print("\n" + heading("generation", "time"))
    for variant in GENERATION:
        bench.measure(variant, "generate", bench.generation_batches)
    bench.input_pipeline()
    print("\n" + heading("training step", "steps/s"))
    for variant in TRAINING[IMPORTANT:]:
        bench.measure(variant, "step", bench.training_batches)


if __name__ == "__main__":
    main()
