"""Where the time of a training step goes, by primitive of oneDNN, as oneDNN itself reports it.

Run ``python -m benchmarks.primitives [--size 256] [--filters 64] [--batch 1] [--layers 12]``; it prints milliseconds a
step by kind of primitive, then the layers that take the most, with their GFLOP/s. What oneDNN does not report is the
work of TensorFlow's own kernels: normalization, activations, Adam. The steps run on one core, so that the times add up.
Set ``ONEDNN_MAX_CPU_ISA=AVX2`` to see an older processor.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

STEPS = 4
"""Steps that are measured, after three that warm up."""

_BEGIN, _END = "steps begin", "steps end"

_CODE = f"""
import os, sys, time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from pix2pix.tensorflow import configure_tensorflow
configure_tensorflow()
from benchmarks.peers.ours import step
run = step(*map(int, sys.argv[1:]))
for _ in range(3):
    run()
print({_BEGIN!r}, flush=True)
began = time.perf_counter()
for _ in range({STEPS}):
    run()
print({_END!r}, 1000 * (time.perf_counter() - began) / {STEPS}, flush=True)
"""

_CONVOLUTION = re.compile(r"mb(\d+)_ic(\d+)oc(\d+)_ih\d+oh(\d+)kh(\d+)\S*?_iw\d+ow(\d+)kw(\d+)")


@dataclass
class Share:
    """The executions of one kind: how many in a step, and milliseconds a step."""

    count: float = 0.0
    milliseconds: float = 0.0


def main() -> None:
    """Run the steps and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--layers", type=int, default=12, help="rows of the second table")
    options = parser.parse_args()
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "ONEDNN_VERBOSE": "1", "PYTHONPATH": root, "CUDA_VISIBLE_DEVICES": ""}
    environment |= {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
    sizes = map(str, (options.batch, options.size, options.filters))
    command = [sys.executable, "-c", _CODE, *sizes]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    total, executions = _measured(output.splitlines())
    kinds: dict[str, Share] = defaultdict(Share)
    layers: dict[tuple[str, str], Share] = defaultdict(Share)
    for kind, shape, milliseconds in executions:
        for share in (kinds[kind], layers[kind, shape]):
            share.count += 1 / STEPS
            share.milliseconds += milliseconds / STEPS
    print(f"a step of {options.size} px, {options.filters} filters, batch {options.batch}: {total:.0f} ms")
    for kind, share in sorted(kinds.items(), key=lambda item: -item[1].milliseconds):
        print(f"  {kind:30} {share.count:5.0f} x {share.milliseconds:8.1f} ms {share.milliseconds / total:5.0%}")
    rest = total - sum(share.milliseconds for share in kinds.values())
    print(f"  {'not in oneDNN':30}         {rest:8.1f} ms {rest / total:5.0%}")
    for (kind, shape), share in sorted(layers.items(), key=lambda item: -item[1].milliseconds)[: options.layers]:
        rate = _operations(shape) * share.count / share.milliseconds / 1e6
        speed = f"{rate:6.0f} GFLOP/s" if rate else ""
        print(f"  {kind:30} {share.count:5.0f} x {share.milliseconds:8.1f} ms {speed:14} {shape}")


def _measured(lines: Iterable[str]) -> tuple[float, list[tuple[str, str, float]]]:
    """Return the milliseconds of a step, and kind, shape and milliseconds of each execution."""
    inside = False
    found: list[tuple[str, str, float]] = []
    for line in lines:
        if line.startswith(_BEGIN):
            inside = True
        elif line.startswith(_END):
            return float(line.split()[-1]), found
        elif inside and ",exec," in line:
            found += _execution(line.split(","))
    raise SystemExit("the steps did not end")


def _execution(fields: list[str]) -> Iterator[tuple[str, str, float]]:
    primitive, _, direction = fields[fields.index("exec") + 2 :][:3]
    kind = primitive if direction == "undef" else f"{primitive}, {direction.replace('_', ' ')}"
    yield kind, fields[-2], float(fields[-1])


def _operations(shape: str) -> float:
    """Return the floating-point operations of a convolution, in any direction; 0 for other primitives."""
    found = _CONVOLUTION.match(shape)
    if found is None:
        return 0.0
    pictures, inputs, outputs, height, rows, width, columns = map(int, found.groups())
    return 2.0 * pictures * inputs * outputs * height * width * rows * columns


if __name__ == "__main__":
    main()
