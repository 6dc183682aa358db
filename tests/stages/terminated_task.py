"""The train task in a process of its own, which prints each step.

Run as ``python terminated_task.py COMMIT_SET REPORT``, with ``PACHD_ADDRESS`` in the environment.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from components import task
from components.train.stage import STAGE
from pix2pix.tensorflow import configure_tensorflow


def reporting(stage: str) -> Callable[[int, int, str], None]:
    def report(done: int, total: int, note: str) -> None:
        if note:  # a step of the training, not a file of a download
            sys.stdout.write(f"step {done}\n")
            sys.stdout.flush()

    return report


class NoMetrics:
    def log_metric(self, name: str, value: Any) -> None:
        pass


if __name__ == "__main__":
    configure_tensorflow()
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    task.logged = reporting
    task.perform(STAGE, sys.argv[1], "", "run", sys.argv[2], NoMetrics())
