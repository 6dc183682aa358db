"""Generates pictures in TensorFlow with several batch sizes, for `test_other_cpus.py` under settings of another CPU."""

from __future__ import annotations

import sys
from pathlib import Path

BATCHES = (4, 3, 1)


def main(model: Path, source: Path, target: Path) -> None:
    """Write ``batch-<size>``, and ``alone``: every other picture, one by one."""
    from pix2pix.hyperparameters import GenerateParameters
    from pix2pix.inference.generate import generate

    for size in BATCHES:
        generate(model, source, target / f"batch-{size}", GenerateParameters(engine="tensorflow", batch_size=size))
    every_other = sorted(path.name for path in source.iterdir())[::2]
    alone = GenerateParameters(engine="tensorflow", batch_size=1, workers=3)
    generate(model, source, target / "alone", alone, only=every_other)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
