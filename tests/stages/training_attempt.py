"""One attempt at a training in a separate process, which prints each step and each saved state.

Run as ``python training_attempt.py SCRATCH RUN COMMIT_SET``, with ``PACHD_ADDRESS`` in the environment.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from components.train.stage import STAGE
from pachyderm.client.connection import Target, connect
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import StageContext, StageOutput
from pachyderm.output.worker import Worker
from pix2pix.tensorflow import configure_tensorflow
from pix2pix.training import checkpoints


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def work(context: StageContext) -> StageOutput:
    def save() -> None:
        step = max(checkpoints.steps(context.keep / checkpoints.STATES))
        context.save()
        report(f"saved {step}")

    return STAGE.work(replace(context, save=save))


def progress(train: Callable[[int, int, str], None]) -> Callable[[int, int, str], None]:
    return lambda done, total, note: train(done, total, note) if note else None


def main(scratch: Path, run: str, commit_set: str) -> None:
    configure_tensorflow()
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    scratch.mkdir()
    with connect(Target.from_environment(dict(os.environ))) as client:
        worker = Worker(run, scratch.name, scratch, progress(lambda done, *_: report(f"step {done}")), keeps=False)
        commit, _ = fill_set(client, replace(STAGE, work=work), commit_set, {}, worker)
        report(f"filled {commit.state}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
