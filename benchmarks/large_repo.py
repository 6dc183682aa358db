"""What a large repo costs: pictures are put and resized, then one is changed; each step is a process of its own.

Run ``python -m benchmarks.large_repo [--pictures 10000] [--size 32]``; it prints seconds, processor seconds and peak
resident memory of each step. The pictures are synthetic PNGs of 32 pixels, in folders of 1,000; the store is the
embedded one. More than 2,000 pictures are resized in shards, one after another. Generation is not measured: its cost
for each picture is that of TensorFlow.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from components.registry import stage
from components.resize.stage import STAGE
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.download import download
from pachyderm.client.files import files, matching
from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUT_IMAGES, PREPROCESS_IMAGES
from pachyderm.dag.setup import set_up
from pachyderm.forecast.outlook import forecast
from pachyderm.output.output_commit import fill_set
from pachyderm.output.worker import Worker
from pachyderm.queue.open_commits import OpenCommits
from pachyderm.shards.division import Division
from pachyderm.shards.shard_attempt import fill_shard
from pix2pix.images.codec import encode_png
from pix2pix.progress import silent


def draw(folder: Path, pictures: int, size: int) -> None:
    """Write pictures of random colours, each different from the others."""
    random = np.random.default_rng(1)
    for number in range(pictures):
        path = folder / f"{number // 1000:04}" / f"{number:07}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        encode_png(np.broadcast_to(random.integers(0, 256, (1, 1, 3), np.uint8), (size, size, 3)).copy(), path, {})


def put_all(client: Connection, folder: Path, size: int) -> None:
    """Put all pictures, and the parameters."""
    set_up(client)
    (folder / "pix2pix.toml").write_text(f"[resize]\nsize = {size}\n")
    pictures = folder / "pictures"
    sources = {f"/{path.relative_to(pictures)}": path for path in sorted(pictures.rglob("*.png"))}
    sources["/pix2pix.toml"] = folder / "pix2pix.toml"
    put(client, INPUT_IMAGES, sources, memory=folder / "puts" / "all.jsonl")


def put_one(client: Connection, folder: Path, size: int) -> None:
    """Change one picture."""
    path = folder / "changed.png"
    encode_png(np.full((size, size, 3), 7, np.uint8), path, {})
    put(client, INPUT_IMAGES, {"/0000/0000003.png": path})


def plan_one(client: Connection, folder: Path, size: int) -> None:  # noqa: ARG001 - as the others
    """Forecast what the changed picture causes, as `pix2pix plan` does."""
    (row,) = (row for row in forecast(client, stage).stages if row.stage == STAGE.name)
    if row.compute != 1:
        raise SystemExit(f"{row} is not the work on one picture")


def resize(client: Connection, folder: Path, size: int) -> None:  # noqa: ARG001 - as the others
    """Run the stage resize on its oldest open commit; its shards one after another, so that a second call goes on."""
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    worker = Worker("benchmark", str(os.getpid()), scratch, silent)
    commit = next(entry.commit for entry in OpenCommits(client).scan() if entry.branch == PREPROCESS_IMAGES)
    division = Division(STAGE.name, INPUT_IMAGES.repo, shards=None)
    fill_set(client, STAGE, commit.id, {}, worker, division)
    for ticket in division.tickets:
        fill_shard(client, STAGE, ticket, worker)


def get_some(client: Connection, folder: Path, size: int) -> None:  # noqa: ARG001 - as the others
    """Download the ten pictures that match a pattern."""
    commit = next(iter(client.pfs.list_commit(repo=client.repo(PREPROCESS_IMAGES.repo), number=1))).commit
    found = matching(client, PREPROCESS_IMAGES.repo, commit.id, "/0001/000100?.png")
    download(client, PREPROCESS_IMAGES.repo, commit.id, found, folder / "some")


def list_all(client: Connection, folder: Path, size: int) -> None:  # noqa: ARG001 - as the others
    """List all pictures."""
    commit = next(iter(client.pfs.list_commit(repo=client.repo(PREPROCESS_IMAGES.repo), number=1))).commit
    files(client, PREPROCESS_IMAGES.repo, commit.id)


STEPS = (put_all, resize, list_all, get_some, put_one, plan_one, resize)
"""In their order; the second `resize` is that of one changed picture."""


def perform(number: int, folder: Path, size: int) -> None:
    """Perform one step, and print its figures as JSON."""
    began, used = time.perf_counter(), time.process_time()
    with connect(Target(store=folder / "store")) as client:
        STEPS[number](client, folder, size)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(json.dumps([time.perf_counter() - began, time.process_time() - used, memory]))


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--step", type=int, help="perform this step alone, in --folder")
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    if chosen.step is not None:
        perform(chosen.step, chosen.folder, chosen.size)
        return
    print(f"{chosen.pictures} pictures of {chosen.size} px; {os.cpu_count()} cores")
    print(f"{'step':>10} {'seconds':>8} {'processor seconds':>18} {'MB':>6}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        draw(folder / "pictures", chosen.pictures, chosen.size)
        for number, step in enumerate(STEPS):
            command = [sys.executable, "-m", "benchmarks.large_repo", "--step", str(number), "--folder", str(folder)]
            done = subprocess.run([*command, "--size", str(chosen.size)], check=True, capture_output=True, text=True)
            seconds, used, memory = json.loads(done.stdout.splitlines()[-1])
            print(f"{step.__name__:>10} {seconds:8.1f} {used:18.1f} {memory:6.0f}", flush=True)


if __name__ == "__main__":
    main()
