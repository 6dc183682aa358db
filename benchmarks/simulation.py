"""Simulation of the trigger and the planner: their real code over synthetic histories of any size.

Run: ``python benchmarks/simulation.py history|backlog|pictures|shards [--sizes N,N] [--commits N] [--policy every]``.
Prints one JSON document for each size. Seconds are processor time, so that other load changes them little.

- ``history``: a trigger beside N finished commits gets commits at 1,000 an hour; a tenth of the attempts fails. The
  clock is simulated; the time of the trigger's polls is measured, without that of the in-memory Pachyderm.
- ``backlog``: the first polls of a trigger that finds N open commit sets.
- ``pictures``: the plan for one changed picture among N, and the record that it needs.
- ``shards``: a commit of N shards of 1,000 pictures, of which a fraction (``--failing``) fails in each attempt.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import json
import logging
import platform
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from components.pictures import assign
from pachyderm.client.files import FileEntry
from pachyderm.dag.repos import GENERATE_IMAGES, INPUT_IMAGES, PIPELINES
from pachyderm.output.plan import CarryBase, plan
from pachyderm.queue.claims import claims_of, fault_key, progress_keys
from pachyderm.record.fingerprints import listing_digest
from pachyderm.record.stage_record import Counts, InputRecord, OutputFile, StageRecord, parse
from pachyderm.shards.cut import cut
from workflows.daemon.lease import NoElection
from workflows.runners.runner import Phase
from workflows.settings.policy import defaults
from workflows.trigger.controller import Controller, Settings
from workflows.trigger.metrics import Metrics
from workflows.trigger.reconcile import reconcile
from workflows.trigger.snapshot_builder import Clock, SnapshotBuilder

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "trigger"))
from fake_pachyderm import FakePachyderm, Row
from fake_runner import FakeRunner

AN_HOUR = 1000
"""Commits an hour."""

RUN_SECONDS = 60.0
"""Duration of a run of two stages."""

FAILING = 0.1
"""Fraction of the attempts that fail."""

SLOTS = 8
"""Runs that may be live at once."""

OUTPUTS = next(pipeline.outputs for pipeline in PIPELINES if GENERATE_IMAGES in pipeline.outputs)


class CountingPachyderm(FakePachyderm):
    """A Pachyderm whose own checks take no time.

    Attributes:
        requests: how many were answered.
        listed: commits in the answers.
        seconds: spent on answers, which a server of its own would spend elsewhere.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(now)
        self.requests = self.listed = 0
        self.seconds = 0.0

    @property
    def channel(self) -> Any:
        """As of the base class, with each answer counted and timed."""
        answers = super().channel

        def unary(path: str, response_deserializer: Any, **_: object) -> Any:
            encoded = self._timed(answers.unary_unary(path, bytes))
            return lambda request: response_deserializer(encoded(request))

        def stream(path: str, response_deserializer: Any, **_: object) -> Any:
            encoded = self._timed(lambda request: list(answers.unary_stream(path, bytes)(request)))
            return lambda request: map(response_deserializer, encoded(request))

        return SimpleNamespace(unary_unary=unary, unary_stream=stream)

    def _timed(self, answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def timed(request: Any) -> Any:
            began = time.process_time()
            try:
                found = answer(request)
            finally:
                self.seconds += time.process_time() - began
            self.requests += 1
            self.listed += len(found) if isinstance(found, list) else 1
            return found

        return timed

    def edit_keys(self, *arguments: Any, **keys: Any) -> None:
        """See `Connection.edit_keys`."""
        self.requests += 1
        super().edit_keys(*arguments, **keys)

    def _finish(self, **arguments: Any) -> None:
        self.requests += 1
        super()._finish(**arguments)
        self._resolve(arguments["commit"]).finished = True

    def add_finished(self, commits: int) -> None:
        """Add commits of pictures whose outputs are good."""
        for _ in range(commits):
            for row in self.sets[self.put(INPUT_IMAGES)]:
                row.finishing = row.finished = True


@dataclass
class Simulation:
    """A trigger, its Pachyderm and runner, and a clock that only events move."""

    policy: str
    now: float = 1_700_000_000.0
    poll_seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(20)
        self.pachyderm = CountingPachyderm(lambda: self.now)
        self.runner = FakeRunner(self.pachyderm, lambda: self.now, True)
        self.clock = Clock(lambda: self.now, lambda: self.now)
        self.policies = {name: replace(entry, policy=self.policy) for name, entry in defaults().items()}
        settings = Settings(self.policies, SLOTS, poll_interval=2.0, by="simulation")
        metrics = Metrics(self.clock.steady, self.clock.wall)
        self.controller = Controller(self.pachyderm, self.runner, NoElection(), settings, self.clock, bool, metrics)

    def poll(self) -> float:
        """Poll until nothing more is to be done, as the trigger does; return the seconds to the next poll."""
        while True:
            began = time.process_time() - self.pachyderm.seconds
            _, plan, effects = self.controller.poll()
            self.poll_seconds.append(time.process_time() - self.pachyderm.seconds - began)
            if not effects:
                return plan.next_poll or 3600.0

    def play(self, commits: int) -> list[str]:
        """Let so many commits arrive at `AN_HOUR`, and the runs work, until nothing is open; return the commit sets."""
        events: list[tuple[float, int, str]] = []
        start, order = self.now, iter(range(10**9))
        for number in range(commits):
            heapq.heappush(events, (start + number * 3600 / AN_HOUR, next(order), "commit"))
        working: set[str] = set()
        sets: list[str] = []
        while events:
            self.now, _, event = heapq.heappop(events)
            if event == "commit":
                sets.append(self.pachyderm.put(INPUT_IMAGES))
            elif event and not self._step(event):
                heapq.heappush(events, (self.now + RUN_SECONDS / 4, next(order), event))
            again = self.poll()
            for state in self.runner.live():
                if state.run not in working:
                    working.add(state.run)
                    heapq.heappush(events, (self.now + RUN_SECONDS / 4, next(order), state.run))
            self._forget_runs()
            if not events and any(row.open for row in self._outputs(sets[-1])):
                heapq.heappush(events, (self.now + again, next(order), ""))
        return sets

    def _step(self, run: str) -> bool:
        """Advance a run; return whether it is over."""
        if run not in self.runner.runs:
            return True
        if self.random.random() < FAILING / 4:
            self.runner.fail(run, gives_back=True)
        else:
            self.runner.advance(run)
        return self.runner.runs[run].state.over

    def keep(self, run: str, count: int, failed: int) -> None:
        """Write what shards leave in the metadata of the commit that a run claimed: progress, and the first error.

        Args:
            run: its id.
            count: number of shards in all.
            failed: number of shards that are not complete; they have computed half of their datums.
        """
        entry = self.runner.runs[run]
        assert entry.claim is not None
        assert entry.state.key is not None
        (repo, number), key = entry.claim, entry.state.key
        keys = {**progress_keys(number, 1000 * (count - failed), 1000 * count), **progress_keys(number, 500, 1000, 1)}
        self.pachyderm.edit_keys(repo, key.commit_set, put={**keys, fault_key(number): "failed: shard 1: no luck"})

    def _forget_runs(self) -> None:
        """Forget the runs of closed commit sets: Kubeflow finds a run by name, which the fake does by search."""
        for run, entry in list(self.runner.runs.items()):
            key = entry.state.key
            over = key is not None and entry.state.phase is not Phase.RUNNING
            if over and not any(row.open for row in self._outputs(key.commit_set)):
                self.runner.forget(run)

    def _outputs(self, commit_set: str) -> list[Row]:
        repos = {branch.repo for branch in OUTPUTS}
        return [row for row in self.pachyderm.sets[commit_set] if row.repo in repos]


def history(finished: int, commits: int, policy: str) -> dict[str, Any]:
    """Measure what a commit costs beside so many finished ones."""
    simulation = Simulation(policy)
    simulation.pachyderm.add_finished(finished)
    simulation.poll()
    first = simulation.poll_seconds.pop(0)
    simulation.poll_seconds.clear()
    simulation.pachyderm.requests = simulation.pachyderm.listed = 0
    sets = simulation.play(commits)
    outputs = [
        row for commit_set in sets for row in simulation.pachyderm.sets[commit_set] if row.repo != "input_images"
    ]
    ends = {kind: sum(row.error.startswith(kind) for row in outputs) for kind in ("failed", "superseded")}
    good = [row for row in outputs if not row.error]
    return {
        "finished_before": finished,
        "commits": commits,
        "policy": policy,
        "good": len(good),
        **ends,
        "runs": len(simulation.runner.created),
        "first_poll_ms": round(first * 1000, 1),
        "poll_ms_median": round(statistics.median(simulation.poll_seconds) * 1000, 2),
        "poll_ms_worst": round(max(simulation.poll_seconds) * 1000, 1),
        "trigger_ms_per_commit": round(sum(simulation.poll_seconds) * 1000 / commits, 2),
        "polls_per_commit": round(len(simulation.poll_seconds) / commits, 1),
        "requests_per_commit": round(simulation.pachyderm.requests / commits, 1),
        "commits_listed_per_commit": round(simulation.pachyderm.listed / commits, 1),
        "metadata_keys_per_output_commit": round(statistics.mean(len(row.metadata) for row in outputs), 1),
        "metadata_keys_worst": max(len(row.metadata) for row in outputs),
        "metadata_bytes_worst": max(sum(len(k) + len(v) for k, v in row.metadata.items()) for row in outputs),
        "newest": "good" if not simulation._outputs(sets[-1])[-1].error else "not good",
    }


def backlog(open_sets: int, policy: str) -> dict[str, Any]:
    """Measure the first two polls of a trigger that finds so many open commit sets."""
    simulation = Simulation(policy)
    for _ in range(open_sets):
        simulation.pachyderm.put(INPUT_IMAGES)
    builder = SnapshotBuilder(
        simulation.pachyderm, simulation.runner, simulation.policies, SLOTS, "simulation", simulation.clock
    )
    figures: dict[str, Any] = {"open_commit_sets": open_sets, "policy": policy}
    server = simulation.pachyderm
    for name in ("first_snapshot", "next_snapshot"):
        server.requests, server.listed, server.seconds = 0, 0, 0.0
        with measured(figures, name, lambda: server.seconds):
            snapshot = builder.build()
        figures |= {f"{name}_requests": server.requests, f"{name}_listed": server.listed}
    with measured(figures, "reconcile"):
        actions = reconcile(snapshot).actions
    return {**figures, "actions": len(actions)}


def pictures(count: int) -> dict[str, Any]:
    """Measure the plan for one changed picture among so many, with the record of the commit before."""
    figures: dict[str, Any] = {"pictures": count}
    listing = {f"/{n // 1000:04}/{n:07}.jpg": FileEntry(50_000, _hash(n)) for n in range(count)}
    with measured(figures, "assign_names"):
        names, _ = assign(listing)
    made = {
        output: OutputFile(90_000, _hash(path), _hash(output), path, listing[path].hash, 50_000, "0" * 32)
        for path, output in names.items()
    }
    outputs = {output: FileEntry(entry.bytes, entry.hash) for output, entry in made.items()}
    digest = listing_digest(listing)
    record = StageRecord(
        stage="generate",
        commit=f"generate_images@{'0' * 32}",
        outcome="computed",
        inputs=(InputRecord("preprocess_images", "0" * 32, count, digest),),
        fingerprint="f" * 64,
        parts={},
        parameters={},
        parameters_from="",
        versions={},
        run={},
        started=0.0,
        seconds=1.0,
        counts=Counts(count, count, 0, count),
        files=made,
    )
    with measured(figures, "write_record"):
        text = record.to_json()
    figures["record_megabytes"] = round(len(text) / 1e6, 1)
    del record, made
    with measured(figures, "read_record"):
        record = parse(text, "stage.json")
    del text
    changed = next(iter(listing))
    listing[changed] = FileEntry(50_001, _hash("another"))
    with measured(figures, "plan"):
        planned = plan(listing, assign, CarryBase("0" * 32, outputs, record))
    with measured(figures, "digest"):
        listing_digest(listing)
    assert list(planned.compute) == [changed]
    figures["computed"], figures["carried"] = len(planned.compute), len(planned.carried)
    figures["peak_megabytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    return figures


def shards(count: int, failing: float) -> dict[str, Any]:
    """Simulate a commit of so many shards, whose failed ones are computed again by the trigger's next attempt."""
    figures: dict[str, Any] = {"shards": count, "failing": failing, "pictures": 1000 * count}
    with measured(figures, "cut"):
        ranges = cut([50_000] * (1000 * count), count)
    metadata = {
        "run.1": json.dumps({"run": "r" * 36, "attempt": "a" * 40}),
        "alive.1": "1",
        "total.1": str(1000 * count),
    }
    metadata |= progress_keys(1, 0, 1000 * count)
    for number, datums in enumerate(ranges, 1):
        metadata |= progress_keys(1, len(datums), len(datums), number)
    with measured(figures, "read_claims"):
        (claim,) = claims_of(metadata)
    assert claim.done == claim.kept == 1000 * count
    figures["metadata_keys"] = len(metadata)
    figures["metadata_bytes"] = sum(len(key) + len(value) for key, value in metadata.items())
    simulation = Simulation("latest")
    commit_set, left, computed = simulation.pachyderm.put(INPUT_IMAGES), count, 0
    outputs = simulation._outputs(commit_set)
    while any(row.open for row in outputs):
        simulation.now += simulation.poll() + 1.0
        for state in simulation.runner.live():
            simulation.runner.advance(state.run)
            computed += left
            left = sum(simulation.random.random() < failing for _ in range(left))
            if left:
                simulation.keep(state.run, count, left)
                simulation.runner.end(state.run, Phase.FAILED, "ValueError: no luck")
            while not left and not simulation.runner.runs[state.run].state.over:
                simulation.runner.advance(state.run)
    errors = {row.error.partition(":")[0] for row in outputs} - {""}
    attempts = len(simulation.runner.created)
    return {
        **figures,
        "attempts": attempts,
        "shards_computed": computed,
        "ended": "good" if not errors else errors.pop(),
    }


def _hash(value: object) -> str:
    return hashlib.sha256(str(value).encode()).hexdigest()


@contextmanager
def measured(figures: dict[str, Any], name: str, elsewhere: Callable[[], float] = lambda: 0.0) -> Iterator[None]:
    """Add the processor seconds that the block took, without those that were spent elsewhere."""
    began = time.process_time() - elsewhere()
    yield
    figures[f"{name}_s"] = round(time.process_time() - elsewhere() - began, 3)


def main() -> None:
    """Simulate, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("what", choices=("history", "backlog", "pictures", "shards"))
    parser.add_argument("--sizes", default="100,1000", help="comma-separated")
    parser.add_argument("--commits", type=int, default=100)
    parser.add_argument("--policy", choices=("latest", "every"), default="latest")
    parser.add_argument("--failing", type=float, default=0.01)
    arguments = parser.parse_args()
    logging.disable()
    for size in map(int, arguments.sizes.split(",")):
        began = time.process_time()
        figures = {
            "history": lambda: history(size, arguments.commits, arguments.policy),  # noqa: B023 - called at once
            "backlog": lambda: backlog(size, arguments.policy),  # noqa: B023
            "pictures": lambda: pictures(size),  # noqa: B023
            "shards": lambda: shards(size, arguments.failing),  # noqa: B023
        }[arguments.what]()
        took = round(time.process_time() - began, 1)
        print(json.dumps({**figures, "took_s": took, "python": platform.python_version()}), flush=True)


if __name__ == "__main__":
    main()
