"""Measures what one task less would save: training and export in one process against the pipeline's two tasks.

Run ``python -m benchmarks.tasks [--rounds 5] [--steps 20]``. Both pipelines run with the local runner over the embedded
store, in turns, each time on a new commit of the same pairs; `kfp.local` starts a process for each task, where Kubeflow
starts two pods. Processor seconds are printed besides seconds, since they depend little on the load of the machine.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from kfp import compiler, dsl
from kfp.dsl import HTML, Metrics, Output

from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import MODEL, TRAINING
from pachyderm.dag.setup import set_up
from pix2pix.facades import generator
from workflows.runners.compiled import shipped
from workflows.runners.local import LocalRunner, child_environment
from workflows.runners.runner import Phase

TWO_TASKS, ONE_TASK = "training_and_export", "train_and_export_in_one_task"

PARAMETERS = """
[train]
size = 64
scale_size = 64
ngf = 16
ndf = 16
max_steps = {steps}
seed = {seed}
"""


@dsl.component(base_image="python", install_kfp_package=False)
def train_and_export(commit_set: str, run: str, report: Output[HTML], metrics: Output[Metrics]) -> str:
    """Perform both stages, one after the other, in one process."""
    from components.export.stage import STAGE as EXPORT
    from components.task import perform
    from components.train.stage import STAGE as TRAIN

    _, trained = perform(TRAIN, commit_set, "", run, report.path, metrics)
    return perform(EXPORT, trained, "", run, report.path, metrics)[0]


@dsl.pipeline(name=ONE_TASK)
def one_task(commit_set: str = "") -> None:
    """The pipeline of that one task."""
    train_and_export(commit_set=commit_set, run=dsl.PIPELINE_JOB_ID_PLACEHOLDER).set_caching_options(False)


class Bench:
    """A store with pairs, and a runner of both pipelines over it."""

    def __init__(self, client: Connection, target: Target, folder: Path, steps: int) -> None:
        self._client, self._folder, self._steps, self._number = client, folder, steps, 0
        generator.make_pairs(folder / "pairs", 8, 64, seed=1)
        package = folder / f"{ONE_TASK}.yaml"
        compiler.Compiler().compile(one_task, str(package))
        environment = child_environment(target, folder / "scratch", os.environ)
        self._runner = LocalRunner(folder / "runs", environment, {**shipped(), ONE_TASK: package})

    def run(self, pipeline: str) -> tuple[float, float]:
        """Commit the pairs with another seed and fill the commit set; return seconds and processor seconds."""
        self._number += 1
        parameters = self._folder / "pairs" / "pix2pix.toml"
        parameters.write_text(PARAMETERS.format(steps=self._steps, seed=self._number))
        files = {f"/{path.name}": path for path in (self._folder / "pairs").iterdir()}
        commit_set = put(self._client, TRAINING, files).commit or ""
        began, before = time.perf_counter(), _children_seconds()
        run = f"{pipeline}-{self._number}"
        state = self._runner.begin(run, pipeline, run, {"commit_set": commit_set})
        while not state.over:
            time.sleep(0.02)
            self._runner.poll()
            state = self._runner.state(run) or state
        # The processor time of a child is known once its process has been waited for.
        self._runner.close()
        seconds, processor_seconds = time.perf_counter() - began, _children_seconds() - before
        model = inspect(self._client, MODEL.repo, commit_set)
        if state.phase is not Phase.SUCCEEDED or model.state != "good":
            raise SystemExit(f"{run} ended as {state.phase}: {state.error}; {model} is {model.state}")
        return seconds, processor_seconds


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    measured: dict[str, list[tuple[float, float]]] = {TWO_TASKS: [], ONE_TASK: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = Target(store=folder / "store")
        with connect(target) as client:
            set_up(client)
            bench = Bench(client, target, folder, options.steps)
            for number in range(options.rounds):
                # Neither goes first every time.
                for pipeline in sorted(measured, reverse=bool(number % 2)):
                    measured[pipeline].append(bench.run(pipeline))
    show(measured)


def show(measured: dict[str, list[tuple[float, float]]]) -> None:
    """Print a line per pipeline, and the difference."""
    rows: dict[str, Any] = {
        name: [statistics.median(column) for column in zip(*times, strict=True)] for name, times in measured.items()
    }
    rows["saved by one task less"] = [two - one for two, one in zip(rows[TWO_TASKS], rows[ONE_TASK], strict=True)]
    for name, (seconds, processor_seconds) in rows.items():
        print(f"{name:30} {seconds:7.2f} s {processor_seconds:7.2f} processor seconds")


if __name__ == "__main__":
    main()
