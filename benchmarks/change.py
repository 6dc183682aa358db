"""Measures one changed picture from its commit to its generated commit, and all pictures, through the local runner.

Run ``python -m benchmarks.change [--pictures 1000] [--filters 16] [--rounds 3]``. Each pass is a run of the pipeline as
the trigger starts it, once in a process of its own and once forked from the prepared process. Processor seconds are
those of the machine (all processes), so that forked tasks count; measure on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.stages import EXPORT, GENERATE, SIZE, TRAIN, TRAINING_PARAMETERS, Bench
from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.upload import put
from pachyderm.dag.repos import GENERATE_IMAGES, INPUT_IMAGES, TRAINING
from pachyderm.dag.setup import set_up
from pix2pix.facades import generator
from pix2pix.images.codec import encode_png
from workflows.runners.local import MARK, LocalRunner, child_environment
from workflows.runners.prepared.prepared_process import PreparedProcess
from workflows.runners.runner import Phase

PIPELINE = "preprocessing_and_generation"


def one_pass(client: Connection, runner: LocalRunner, commit_set: str) -> float:
    """Run the pipeline for a commit set; return seconds."""
    began = time.perf_counter()
    run = f"pass-{commit_set}"
    state = runner.begin(run, PIPELINE, run, {"commit_set": commit_set})
    while not state.over:
        time.sleep(0.01)
        runner.poll()
        state = runner.state(run) or state
    seconds = time.perf_counter() - began
    commit = inspect(client, GENERATE_IMAGES.repo, commit_set)
    if state.phase is not Phase.SUCCEEDED or commit.state != "good":
        raise SystemExit(f"{run} ended as {state.phase}: {state.error}; {commit} is {commit.state}")
    return seconds


def measure(client: Connection, target: Target, folder: Path, options: argparse.Namespace) -> None:
    """Measure and print."""
    random = np.random.default_rng(0)

    def picture(name: str) -> dict[str, Path]:
        path = folder / "pictures" / name
        encode_png(random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8), path)
        return {f"/{name}": path}

    (folder / "pix2pix.toml").write_text(f"[resize]\nsize = {SIZE}\n")
    files = {"/pix2pix.toml": folder / "pix2pix.toml"}
    for number in range(options.pictures):
        files |= picture(f"{number:05}.png")
    environment = child_environment(target, folder / "scratch", os.environ)
    prepared = PreparedProcess(environment, MARK)
    began = time.perf_counter()
    prepared.begin()
    while not prepared.is_ready():
        time.sleep(0.05)
    print(f"the prepared process was ready after {time.perf_counter() - began:.2f} s")
    runners = {
        "a process each": LocalRunner(folder / "runs", environment),
        "prepared": LocalRunner(folder / "runs", environment, prepared=prepared),
    }
    everything = one_pass(client, runners["prepared"], put(client, INPUT_IMAGES, files).commit or "")
    print(f"{'all ' + str(options.pictures):24} {everything:7.2f} s")
    for name, runner in runners.items():
        seconds, processor = [], []
        for _ in range(options.rounds):
            commit_set = put(client, INPUT_IMAGES, picture("00000.png")).commit or ""
            before = psutil.cpu_times()
            seconds.append(one_pass(client, runner, commit_set))
            after = psutil.cpu_times()
            processor.append(after.user + after.system - before.user - before.system)
        middle = statistics.median(seconds)
        shown = " ".join(f"{value:.2f}" for value in seconds)
        print(f"{'one changed, ' + name:24} {middle:7.2f} s, 1/{everything / middle:.1f} of all ({shown});", end=" ")
        print(f"{statistics.median(processor):.2f} processor seconds")
    for runner in runners.values():
        runner.close()


def main() -> None:
    """Make a store with a model, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--filters", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pictures").mkdir()
        target = Target(store=folder / "store")
        with connect(target) as client:
            set_up(client)
            bench = Bench(client, folder)
            generator.make_pairs(folder / "pairs", 8, SIZE, seed=1)
            (folder / "pairs" / "pix2pix.toml").write_text(
                TRAINING_PARAMETERS.format(size=SIZE, filters=options.filters)
            )
            put(client, TRAINING, {f"/{path.name}": path for path in (folder / "pairs").iterdir()})
            bench.fill(TRAIN)
            bench.fill(EXPORT)
            bench.fill(GENERATE)  # nothing yet, with the model that was promoted
            measure(client, target, folder, options)


if __name__ == "__main__":
    main()
