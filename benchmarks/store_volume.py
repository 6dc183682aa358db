"""What commands cost on a large commit and on a long history, each measured in a process of its own.

Every volume is measured at a tenth and in full: a cost that grows more than the volume shows. Output commits are filled
through the protocol of the stages, whose work is one line per file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FILES, COMMITS = 100_000, 5_000

PICTURES = 20
"""Files of each commit of a long history."""

MEMORY = 500
"""MiB that no process may exceed."""

GROWTH = 13.0
"""How much more ten times the volume may cost."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a process, which includes the embedded store, and its peak memory in MiB."""

    seconds: float
    memory: float


def cost(*command: str, ends_with: int = 0) -> Cost:
    """Run a command of this Python and measure it.

    Raises:
        SystemExit: it ended with another exit code.
    """
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != ends_with:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def command(store: Path, *words: str) -> Cost:
    """Measure a subcommand of `pix2pix` on a store."""
    return cost("-m", "cli.main", "--store", str(store), "--json", "-q", *words)


def job(name: str, store: Path, *words: str) -> Cost:
    """Measure a function of this module in a process of its own."""
    return cost("-m", "benchmarks.store_volume", name, str(store), *words)


READS: dict[str, tuple[str, ...]] = {
    "ls": ("ls", "generate_images"),
    "status": ("status",),
    "log": ("log", "generate_images"),
    "fsck": ("fsck",),
    "store fsck": ("store", "fsck"),
    "lineage of a picture": ("lineage", "generate_images@master:/0.png"),
    "lineage forward": ("lineage", "--forward", "input_images@master:/0.png"),
}
"""Row of the table -> subcommand that reads."""


def large_commit(folder: Path, count: int) -> Iterator[tuple[str, Cost]]:
    """A commit of many pictures, and one more picture."""
    store, pictures = folder / "store", folder / "pictures"
    pictures.mkdir(parents=True)
    for number in range(count):
        (pictures / f"{number}.png").write_text(f"picture {number}")
    job("prepare", store)
    yield "put", command(store, "put", "input_images", str(pictures))
    yield "resize (the protocol alone)", job("fill", store, "resize")
    yield "generate (the protocol alone)", job("fill", store, "generate")
    yield "put, nothing changed", command(store, "put", "input_images", str(pictures))
    (pictures / "0.png").write_text("another picture")
    yield "put, one file changed", command(store, "put", "input_images", str(pictures))
    yield "resize, one file changed", job("fill", store, "resize")
    yield "generate, one file changed", job("fill", store, "generate")
    for row, words in READS.items():
        yield row, command(store, *words)
    yield "the trigger's poll", job("poll", store)


def long_history(folder: Path, count: int) -> Iterator[tuple[str, Cost]]:
    """Many commits of one changed picture each, all of them filled."""
    store = folder / "store"
    job("prepare", store)
    yield "all commits and their stages", job("history", store, str(count))
    for row, words in READS.items():
        yield row, command(store, *words)
    yield "the trigger's poll", job("poll", store)
    picture = folder / "0.png"
    picture.write_text("the newest picture")
    yield "put", command(store, "put", "input_images", str(picture))


def long_queue(folder: Path, count: int) -> Iterator[tuple[str, Cost]]:
    """Many commits that no stage has filled yet."""
    store = folder / "store"
    job("prepare", store)
    yield "all commits", job("queue", store, str(count))
    yield "status", command(store, "status")
    yield "the trigger's poll", job("poll", store)


PARTS: Mapping[str, tuple[str, int, Callable[[Path, int], Iterator[tuple[str, Cost]]]]] = {
    "files": ("files in one commit", FILES, large_commit),
    "history": ("filled commits", COMMITS, long_history),
    "queue": ("open commits", COMMITS, long_queue),
}


def table(only: str, scale: int) -> Iterator[str]:
    """Yield the lines of the table in Markdown; CPU seconds and MiB of each process.

    Args:
        only: part of the name of a part, or empty for all.
        scale: divisor of the volumes.
    """
    for name, (what, most, part) in PARTS.items():
        if only not in name:
            continue
        volumes = (most // scale // 10, most // scale)
        yield f"| {what} | {volumes[0]:,} | {volumes[1]:,} | growth |"
        yield "|---|---|---|---|"
        costs: list[dict[str, Cost]] = []
        with tempfile.TemporaryDirectory() as folder:
            for volume in volumes:
                costs.append({})
                for row, measured in part(Path(folder) / str(volume), volume):
                    costs[-1][row] = measured
                    sys.stderr.write(f"{volume:,} {what}: {row}: {measured.seconds:.2f} s {measured.memory:.0f} MiB\n")
        for row, few in costs[0].items():
            many = costs[1][row]
            growth = many.seconds / few.seconds
            faults = " **superlinear**" * (growth > GROWTH) + " **memory**" * (many.memory > MEMORY)
            cells = [f"{one.seconds:.2f} s, {one.memory:.0f} MiB" for one in (few, many)]
            yield f"| {row} | {cells[0]} | {cells[1]} | {growth:.1f}x{faults} |"
        yield ""


def prepare(store: Path) -> None:
    """Set up, and fill a model."""
    from benchmarks.one_line_stages import Bench

    with Bench(store) as bench:
        bench.set_up()
        bench.put("training", {"/a.png": "A"})
        bench.fill("train")
        bench.fill("export")


def fill(store: Path, stage: str) -> None:
    """Fill what is open of a stage."""
    from benchmarks.one_line_stages import Bench

    with Bench(store) as bench:
        bench.fill(stage)


def history(store: Path, count: str) -> None:
    """Commit one picture after the other, and fill the output commits of each."""
    from benchmarks.one_line_stages import Bench

    with Bench(store) as bench:
        bench.put("input_images", {f"/{number}.png": f"{number}" for number in range(PICTURES)})
        for number in range(int(count)):
            bench.put("input_images", {f"/{number % PICTURES}.png": f"picture {number}"})
            bench.fill("resize")
            bench.fill("generate")


def queue(store: Path, count: str) -> None:
    """Commit one picture after the other."""
    from benchmarks.one_line_stages import Bench

    with Bench(store) as bench:
        for number in range(int(count)):
            bench.put("input_images", {f"/{number % PICTURES}.png": f"picture {number}"})


def poll(store: Path) -> None:
    """Build a trigger's first snapshot, and decide."""
    from pachyderm.client.connection import Target, connect
    from workflows.runners.local import LocalRunner
    from workflows.settings.policy import defaults
    from workflows.trigger.reconcile import reconcile
    from workflows.trigger.snapshot_builder import Clock, SnapshotBuilder

    clock = Clock(time.monotonic, time.time)
    with connect(Target(store=store)) as client:
        reconcile(SnapshotBuilder(client, LocalRunner(store / "runs", {}), defaults(), 3, "a:1", clock).build())


JOBS: Mapping[str, Callable[..., None]] = {
    function.__name__: function for function in (prepare, fill, history, queue, poll)
}

if __name__ == "__main__":
    partial(JOBS[sys.argv[1]], Path(sys.argv[2]))(*sys.argv[3:])
