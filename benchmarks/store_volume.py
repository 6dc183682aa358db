"""What commands cost on a large commit and on a long history, each measured in a process of its own.

Every volume is measured at a tenth and in full: a cost that grows more than the volume shows. Output commits are filled
through the protocol of the stages, whose work is one line per file. Stores and figures are kept in a folder, in which a
measurement that was stopped goes on.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FILES, COMMITS = 100_000, 5_000

PICTURES = 20
"""Files of each commit of a long history."""

AT_ONCE = 250
"""Commits of a history or queue that one process makes."""

PREPARED = "set-up"
"""A step that is not part of the table."""

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


Step = tuple[str, Callable[[], Cost]]
"""Row of the table, and what measures it; the costs of several steps of one row add up."""


def large_commit(folder: Path, count: int) -> Iterator[Step]:
    """A commit of many pictures, and one more picture."""
    store, pictures = folder / "store", folder / "pictures"

    def first() -> Cost:
        pictures.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            (pictures / f"{number}.png").write_text(f"picture {number}")
        return command(store, "put", "input_images", str(pictures))

    def changed() -> Cost:
        (pictures / "0.png").write_text("another picture")
        return command(store, "put", "input_images", str(pictures))

    yield PREPARED, lambda: job("prepare", store)
    yield "put", first
    yield "resize (the protocol alone)", lambda: job("fill", store, "resize")
    yield "generate (the protocol alone)", lambda: job("fill", store, "generate")
    yield "put, nothing changed", lambda: command(store, "put", "input_images", str(pictures))
    yield "put, one file changed", changed
    yield "resize, one file changed", lambda: job("fill", store, "resize")
    yield "generate, one file changed", lambda: job("fill", store, "generate")
    yield from reads(store)


def long_history(folder: Path, count: int) -> Iterator[Step]:
    """Many commits of one changed picture each, all of them filled."""
    store, picture = folder / "store", folder / "0.png"

    def newest() -> Cost:
        picture.write_text("the newest picture")
        return command(store, "put", "input_images", str(picture))

    yield PREPARED, lambda: job("prepare", store)
    for first in range(0, count, AT_ONCE):
        last = min(first + AT_ONCE, count)
        yield "all commits and their stages", partial(job, "history", store, str(first), str(last))
    yield from reads(store)
    yield "put", newest


def long_queue(folder: Path, count: int) -> Iterator[Step]:
    """Many commits that no stage has filled yet."""
    store = folder / "store"
    yield PREPARED, lambda: job("prepare", store)
    for first in range(0, count, AT_ONCE):
        yield "all commits", partial(job, "queue", store, str(first), str(min(first + AT_ONCE, count)))
    yield "status", lambda: command(store, "status")
    yield "the trigger's poll", lambda: job("poll", store)


def reads(store: Path) -> Iterator[Step]:
    """What only reads."""
    for row, words in READS.items():
        yield row, partial(command, store, *words)
    yield "the trigger's poll", lambda: job("poll", store)


PARTS: Mapping[str, tuple[str, int, Callable[[Path, int], Iterator[Step]]]] = {
    "files": ("files in one commit", FILES, large_commit),
    "history": ("filled commits", COMMITS, long_history),
    "queue": ("open commits", COMMITS, long_queue),
}


class Measured:
    """The steps that were measured, kept in a file, so that a benchmark can go on where it was stopped."""

    def __init__(self, file: Path) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file.exists() else []
        self._costs = {key: Cost(*figures) for key, figures in map(json.loads, lines)}

    def cost(self, key: str, measure: Callable[[], Cost]) -> Cost:
        """Return the cost of a step, measured now unless it was before."""
        if key not in self._costs:
            found = self._costs[key] = measure()
            with self._file.open("a") as file:
                file.write(json.dumps([key, [found.seconds, found.memory]]) + "\n")
            sys.stderr.write(f"{key}: {found.seconds:.2f} s {found.memory:.0f} MiB\n")
        return self._costs[key]


def table(only: str, scale: int, folder: Path, seconds: float = math.inf) -> Iterator[str]:
    """Yield the lines of the table in Markdown; CPU seconds and MiB of each process.

    Args:
        only: part of the name of a part, or empty for all.
        scale: divisor of the volumes.
        folder: keeps the stores and what was measured; the next call with it goes on from there.
        seconds: after so many, no further step begins.
    """
    ends, measured = time.monotonic() + seconds, Measured(folder / "measured.jsonl")
    for name, (what, most, part) in PARTS.items():
        if only not in name:
            continue
        volumes = (most // scale // 10, most // scale)
        costs: list[dict[str, Cost]] = []
        for volume in volumes:
            costs.append({})
            place = folder / f"{name}-{volume}"
            place.mkdir(exist_ok=True)
            for number, (row, measure) in enumerate(part(place, volume)):
                if time.monotonic() > ends:
                    yield f"stopped before {volume:,} {what}: {row}; call it again with the same folder"
                    return
                found = measured.cost(f"{volume} {what}, step {number}: {row}", measure)
                before = costs[-1].get(row, Cost(0.0, 0.0))
                costs[-1][row] = Cost(before.seconds + found.seconds, max(before.memory, found.memory))
        yield from lines(what, volumes, costs)


def lines(what: str, volumes: tuple[int, int], costs: Sequence[Mapping[str, Cost]]) -> Iterator[str]:
    """Yield the lines of the table of one part."""
    yield f"| {what} | {volumes[0]:,} | {volumes[1]:,} | growth |"
    yield "|---|---|---|---|"
    for row, few in costs[0].items():
        if row == PREPARED:
            continue
        many = costs[1][row]
        growth = many.seconds / few.seconds
        faults = " **superlinear**" * (growth > GROWTH) + " **memory**" * (many.memory > MEMORY)
        cells = [f"{one.seconds:.1f} s, {one.memory:.0f} MiB" for one in (few, many)]
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


def history(store: Path, first: str, last: str) -> None:
    """Commit one picture after the other, and fill the output commits of each."""
    from benchmarks.one_line_stages import Bench

    with Bench(store) as bench:
        if first == "0":
            bench.put("input_images", {f"/{number}.png": f"{number}" for number in range(PICTURES)})
        for number in range(int(first), int(last)):
            bench.put("input_images", {f"/{number % PICTURES}.png": f"picture {number}"})
            bench.fill("resize")
            bench.fill("generate")


def queue(store: Path, first: str, last: str) -> None:
    """Commit one picture after the other."""
    from benchmarks.one_line_stages import Bench

    with Bench(store) as bench:
        for number in range(int(first), int(last)):
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
