"""Measures the web application's API against calls of the SavedModel in this process, and reloads of the model.

    python -m benchmarks.serving [--filters 64] [--size 256] [--seconds 20] [--rounds 3]
    python -m benchmarks.serving --filters 8 --size 64 --reloads 100

A model is trained for two steps, exported and promoted in an embedded store, and `pix2pix web` serves it in a process
of its own. The rounds alternate between the two, so that both see the same machine: translations a second of 16 clients
that post PNG files against batches of 8 in process; 95th percentile of one picture at a time against one in process;
processor seconds of a picture, which depend little on the load of the machine.
With ``--reloads`` the model in use is exchanged that often while clients translate (``--loading``, 4 of them); failed
requests and the server's memory are printed.
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from components.export.stage import STAGE as EXPORT
from components.train.stage import STAGE as TRAIN
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.download import download
from pachyderm.client.files import content, files
from pachyderm.client.upload import put
from pachyderm.dag.promotion import promote
from pachyderm.dag.repos import MODEL, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.worker import Worker
from pix2pix.facades import generator
from pix2pix.images.codec import png_bytes
from pix2pix.progress import silent
from pix2pix.tensorflow import configure_tensorflow

configure_tensorflow()  # before TensorFlow is imported
import numpy as np  # noqa: E402

from pix2pix.inference.translator import Translator  # noqa: E402

CLIENTS, BATCH = 16, 8

PARAMETERS = """
[train]
size = {size}
scale_size = {size}
ngf = {filters}
ndf = 4
batch_size = 1
max_steps = {steps}
[export]
promote = "always"
"""


def model(client: Connection, folder: Path, size: int, filters: int, steps: int) -> str:
    """Train, export and promote a model; return its commit."""
    pairs = folder / f"pairs-{steps}"
    generator.make_pairs(pairs, 4, size, seed=steps)
    parameters = folder / "pix2pix.toml"
    parameters.write_text(PARAMETERS.format(size=size, filters=filters, steps=steps))
    sources = {f"/{steps}-{path.name}": path for path in sorted(pairs.iterdir())} | {"/pix2pix.toml": parameters}
    put(client, TRAINING, sources)
    for number, stage in enumerate((TRAIN, EXPORT)):
        scratch = folder / f"scratch-{steps}-{number}"
        scratch.mkdir()
        commit, _ = fill_set(client, stage, "", {}, Worker("benchmark", f"{steps}", scratch, silent))
    return commit.id


@contextmanager
def served(store: Path) -> Iterator[tuple[int, psutil.Process]]:
    """Serve a store; provide the port and the process once a model is loaded."""
    command = [sys.executable, "-m", "cli.main", "--store", str(store), "web", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = next(int(found[1]) for line in process.stderr if (found := re.search(r":(\d+)/", line)))
            threading.Thread(target=process.stderr.read, daemon=True).start()
            while request(port, "GET", "/readyz") != 200:
                time.sleep(0.2)
            yield port, psutil.Process(process.pid)
        finally:
            process.terminate()


def request(port: int, method: str, path: str, body: bytes = b"") -> int:
    """Make one request over a connection of its own, and return its status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request(method, path, body)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status


def client_of(port: int, body: bytes) -> Callable[[], int]:
    """Return a function that translates a picture over a connection that stays open, and returns the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def translate() -> int:
        connection.request("POST", "/api/translate", body)
        response = connection.getresponse()
        response.read()
        return response.status

    return translate


def repeated(work: Callable[[], object], seconds: float) -> list[float]:
    """Repeat work for some seconds, and return the seconds of each call."""
    times, ends = [], time.perf_counter() + seconds
    while (began := time.perf_counter()) < ends:
        work()
        times.append(time.perf_counter() - began)
    return times


def percentile(times: list[float]) -> float:
    """Return the 95th percentile, milliseconds."""
    return 1000 * statistics.quantiles(times, n=20)[-1]


def through_api(port: int, body: bytes, seconds: float, process: psutil.Process) -> tuple[float, float]:
    """Return the translations a second of `CLIENTS` clients, and the server's processor seconds of each."""
    spent = sum(process.cpu_times()[:2])
    with ThreadPoolExecutor(CLIENTS) as pool:
        began = time.perf_counter()
        counts = pool.map(
            lambda client: len(repeated(client, seconds)), [client_of(port, body) for _ in range(CLIENTS)]
        )
        total = sum(counts)
        rate = total / (time.perf_counter() - began)
    return rate, (sum(process.cpu_times()[:2]) - spent) / total


def compare(
    port: int, process: psutil.Process, translator: Translator, picture: np.ndarray, seconds: float, rounds: int
) -> None:
    """Print throughput and latency of both, and their ratios."""
    body, one, batch = png_bytes(picture), picture[np.newaxis], np.stack([picture] * BATCH)
    for warm in (one, batch):
        translator(warm)
    through_api(port, body, 2.0, process)
    rates, latencies, processor = [], [], []
    for number in range(rounds):
        began = time.process_time()
        direct = repeated(lambda: translator(batch), seconds)
        spent = (time.process_time() - began) / (BATCH * len(direct))
        rate, of_server = through_api(port, body, seconds, process)
        rates.append((rate, BATCH * len(direct) / sum(direct)))
        processor.append((of_server, spent))
        alone = repeated(client_of(port, body), seconds / 2)
        latencies.append((percentile(alone), percentile(repeated(lambda: translator(one), seconds / 2))))
        print(f"round {number + 1}: {rates[-1]} translations/s, {latencies[-1]} ms p95 (API, in process)", flush=True)
    rate, direct_rate = (statistics.median(each) for each in zip(*rates, strict=True))
    latency, direct_latency = (statistics.median(each) for each in zip(*latencies, strict=True))
    print("| | API | in process | ratio |\n|---|---|---|---|")
    print(f"| translations/s, {CLIENTS} clients, batch {BATCH} | {rate:.1f} | {direct_rate:.1f} |", end="")
    print(f" {statistics.median(a / b for a, b in rates):.2f} |")
    of_server, spent = (1000 * statistics.median(each) for each in zip(*processor, strict=True))
    print(f"| processor ms of a picture, batch {BATCH} | {of_server:.0f} | {spent:.0f} | {of_server / spent:.2f} |")
    print(f"| p95 of one picture, ms | {latency:.0f} | {direct_latency:.0f} |", end="")
    print(f" {statistics.median(a / b for a, b in latencies):.2f} |")


def reload(
    client: Connection, port: int, process: psutil.Process, commits: list[str], body: bytes, times: int, loading: int
) -> None:
    """Exchange the model in use while clients translate; print failed requests and the server's memory."""
    stop, failures, done = threading.Event(), [0], [0]

    def load() -> None:
        translate = client_of(port, body)
        while not stop.is_set():
            failures[0] += translate() != 200
            done[0] += 1

    threads = [threading.Thread(target=load) for _ in range(loading)]
    for thread in threads:
        thread.start()
    memory = []
    for number in range(times):
        commit = commits[number % 2]
        promote(client, commit, time.time())
        while not in_use(port, commit):
            time.sleep(0.1)
        memory.append(process.memory_info().rss / 2**20)
        if number % max(1, times // 10) == 0:
            print(f"after {number + 1} reloads: {memory[-1]:.0f} MiB, {done[0]} requests", flush=True)
    stop.set()
    for thread in threads:
        thread.join()
    tenth = max(1, times // 10)
    print(
        f"{times} reloads, {done[0]} requests, {failures[0]} failed; MiB in the second tenth and in the last: ", end=""
    )
    print(f"{statistics.mean(memory[tenth : 2 * tenth]):.0f}, {statistics.mean(memory[-tenth:]):.0f}")


def in_use(port: int, commit: str) -> bool:
    """Whether the server uses this model."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    connection.request("GET", "/api/model")
    found = commit.encode() in connection.getresponse().read()
    connection.close()
    return found


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("filters", 64), ("size", 256), ("rounds", 3), ("reloads", 0), ("loading", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seconds", type=float, default=20.0)
    given = parser.parse_args()
    picture = np.random.default_rng(0).integers(0, 256, (given.size, given.size, 3)).astype(np.uint8)
    picture[:, : given.size // 2] = 128
    print(f"{os.cpu_count()} processors; {given}", flush=True)
    with tempfile.TemporaryDirectory() as name, connect(Target(store=Path(name) / "store")) as client:
        folder = Path(name)
        set_up(client)
        count = 2 if given.reloads else 1
        commits = [model(client, folder, given.size, given.filters, steps) for steps in range(1, count + 1)]
        listing = content(files(client, MODEL.repo, commits[0]))
        (folder / "model").mkdir()
        download(client, MODEL.repo, commits[0], listing, folder / "model", whole=True)
        with served(folder / "store") as (port, process):
            if given.reloads:
                reload(client, port, process, commits, png_bytes(picture), given.reloads, given.loading)
            else:
                compare(port, process, Translator(folder / "model"), picture, given.seconds, given.rounds)


if __name__ == "__main__":
    main()
