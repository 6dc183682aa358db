"""Benchmark of the trigger on this machine: latency from a commit to its run, and the cost of a burst of commits.

Run: ``python benchmarks/trigger.py [--commits 50] [--burst 1000]``. Prints one JSON document.

The latency is measured from the return of the commit's call to the start of the run's child process, with an idle
trigger in its own process, the embedded store, and a pipeline of one trivial task.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pachyderm.client.branches import BranchName
from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.dag.repos import INPUT_IMAGES, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.queue.open_commits import OpenCommits
from workflows.settings.configuration import Configuration

TESTS = Path(__file__).resolve().parent.parent / "tests" / "trigger"


def commit(client: Connection, branch: BranchName, content: str) -> str:
    """Commit one small file; return the id of the commit set."""
    with client.pfs.commit(branch=client.branch(branch)) as output:
        client.pfs.put_file_from_bytes(commit=output, path="/a", data=content.encode())
    return str(output.id)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a trigger in its own process."""
    sys.path.append(str(TESTS))
    from filling_pipelines import compile_all

    packages = folder / "packages"
    packages.mkdir()
    quick = str(compile_all(packages)["quick"])
    training = str(packages / "training_and_export.yaml")
    order = {
        "store": str(folder / "store"),
        "poll_interval": Configuration().poll_interval,
        "pipelines": {"preprocessing_and_generation": quick, "training_and_export": training},
    }
    orders = folder / "orders"
    orders.mkdir()
    environment = {**os.environ, "TEST_ORDERS": str(orders), "PYTHONPATH": str(TESTS)}
    return subprocess.Popen([sys.executable, str(TESTS / "trigger_process.py"), json.dumps(order)], env=environment)


def ended(
    client: Connection, trigger: subprocess.Popen[bytes], repo: str, commit_set: str, limit: float = 600.0
) -> str:
    """Wait for the end of an output commit; return its state."""
    until = time.monotonic() + limit
    while time.monotonic() < until:
        if trigger.poll() is not None:
            raise SystemExit(f"the trigger ended with {trigger.returncode}")
        state = inspect(client, repo, commit_set).state
        if state not in ("open", "finishing"):
            return state
        time.sleep(0.05)
    raise TimeoutError(f"{repo}@{commit_set} did not end within {limit:.0f} s")


def latency(client: Connection, trigger: subprocess.Popen[bytes], runs: Path, commits: int) -> dict[str, float]:
    """Measure the seconds from a commit to its run's process while the trigger is idle."""
    took = []
    for number in range(commits):
        commit_set = commit(client, INPUT_IMAGES, str(number))
        done = time.time()
        state = runs / f"preprocessing_and_generation-{commit_set}-1" / "state.json"
        while not state.exists():
            time.sleep(0.005)
        took.append(state.stat().st_mtime - done)
        ended(client, trigger, "generate_images", commit_set)
    took.sort()
    return {
        "commits": commits,
        "median_s": round(statistics.median(took), 3),
        "p95_s": round(took[max(0, round(len(took) * 0.95) - 1)], 3),
        "worst_s": round(took[-1], 3),
    }


def burst(client: Connection, trigger: subprocess.Popen[bytes], runs: Path, commits: int) -> dict[str, float]:
    """Measure the runs that a burst of commits under `latest` costs, and the time until the newest is done."""
    before = len(list(runs.glob("training_and_export-*")))
    began = time.monotonic()
    sets = [commit(client, TRAINING, str(number)) for number in range(commits)]
    written = time.monotonic() - began
    ended(client, trigger, "model", sets[-1], 1800.0)
    states = [inspect(client, "model", commit_set) for commit_set in sets]
    return {
        "commits": commits,
        "writing_s": round(written, 1),
        "newest_done_after_s": round(time.monotonic() - began - written, 1),
        "runs": len(list(runs.glob("training_and_export-*"))) - before,
        "superseded": sum(output.state == "superseded" for output in states),
        "superseded_by_whom": sum("superseded: by " in output.error for output in states),
        "good": sum(output.state == "good" for output in states),
    }


def polls(client: Connection, finished: int) -> dict[str, float]:
    """Measure a poll of the open commits when nothing is open, with that many finished commits on each branch."""
    queue = OpenCommits(client)
    queue.scan()
    took = []
    for _ in range(20):
        began = time.monotonic()
        queue.scan()
        took.append(time.monotonic() - began)
    return {"finished_commits": finished, "median_ms": round(statistics.median(took) * 1000, 1)}


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--commits", type=int, default=50)
    parser.add_argument("--burst", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with connect(Target(store=folder / "store")) as client:
            set_up(client)
            empty = polls(client, 0)
            process = start(folder)
            try:
                runs = folder / "store" / "runs"
                ended(client, process, "generate_images", commit(client, INPUT_IMAGES, "warm"))
                found = {
                    "machine": {"cores": os.cpu_count(), "python": platform.python_version()},
                    "latency": latency(client, process, runs, arguments.commits),
                    "burst": burst(client, process, runs, arguments.burst),
                    "polls": [empty, polls(client, arguments.commits + arguments.burst)],
                }
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
