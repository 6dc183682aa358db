"""Generates one folder of pictures in several ways; `test_other_cpus.py` starts it with settings of another CPU."""

from __future__ import annotations

import sys
from pathlib import Path

from pix2pix.hyperparameters import GenerateParameters
from pix2pix.inference.generate import generate


def main(model: Path, source: Path, target: Path) -> None:
    """Translate `source` by batch sizes 8, 3 and 1, and its two halves by themselves by batch size 1."""
    for size in (8, 3, 1):
        generate(model, source, target / f"batch-{size}", GenerateParameters(batch_size=size))
    names = sorted(path.name for path in source.iterdir())
    for half in (names[::2], names[1::2]):
        generate(model, source, target / "halves", GenerateParameters(batch_size=1, workers=3), only=half)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
