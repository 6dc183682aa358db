"""Generates pictures with several batch sizes and numbers of threads; `test_other_cpus.py` runs it as another CPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from pix2pix.tensorflow import configure_tensorflow

THREADS = (1, 3)
"""Numbers of threads that compute one operation."""
BATCHES = (4, 3, 1)


def main(model: Path, source: Path, target: Path) -> None:
    """Write ``<threads>/batch-<size>``, and ``<threads>/alone``: every other picture, one by one."""
    configure_tensorflow()
    import tensorflow as tf

    from pix2pix.hyperparameters import GenerateParameters
    from pix2pix.inference.generate import generate

    def generate_all(threads: int) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        folder = target / str(threads)
        for size in BATCHES:
            generate(model, source, folder / f"batch-{size}", GenerateParameters(batch_size=size))
        every_other = sorted(path.name for path in source.iterdir())[::2]
        generate(model, source, folder / "alone", GenerateParameters(batch_size=1, workers=3), only=every_other)

    for threads in THREADS:
        _run_in_child(lambda threads=threads: generate_all(threads))  # type: ignore[misc]


def _run_in_child(function: Callable[[], None]) -> None:
    """Run a function in a child process, so that TensorFlow is imported once."""
    # TensorFlow fixes its number of threads when it runs the first operation. Until then it has started none (seen in
    # 2.21), and a process of one thread may fork.
    child = os.fork()
    if child == 0:
        code = 1
        try:
            function()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"the child process failed with status {status}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
