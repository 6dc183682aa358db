"""Rounds of runs that fan out, with kills of planning tasks, shards and publishing shards, and with doubled shards.

A separate program, since a process that has opened a store or used gRPC cannot be forked: it imports everything, opens
nothing, and forks each task. Run as ``python shard_racers.py FOLDER KILLS SEED``; prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from dying import living
from own_target import delete_project, own_target

from components.pictures import assign
from pachyderm.client.commits import inspect
from pachyderm.client.connection import Connection, connect
from pachyderm.client.files import content, files, read
from pachyderm.client.upload import put
from pachyderm.dag.repos import INPUT_IMAGES, PREPROCESS_IMAGES, RESIZE
from pachyderm.dag.setup import set_up
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Resolved, Stage, StageContext, StageOutput
from pachyderm.output.work_in_progress import UNFINISHED
from pachyderm.output.worker import Worker
from pachyderm.queue.claims import give_back, live_claim
from pachyderm.record.stage_record import read_record
from pachyderm.shards import branches
from pachyderm.shards.division import Division
from pachyderm.shards.shard_attempt import fill_shard
from pachyderm.shards.shard_plan import PREFIX

PICTURES, SHARDS, AT_ONCE = 12, 4, 3


class Racers:
    """The tasks of runs over one Pachyderm, each in a process of its own."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.target = own_target(folder)
        self._folder, self._random = folder, random.Random(seed)
        self._answer = folder / "answer"
        self.log = folder / "computed"
        self.kills: Counter[str] = Counter()
        self.doubles = 0

    def stage(self) -> Stage:
        def work(context: StageContext) -> StageOutput:
            assert context.plan is not None
            outputs = {}
            for path, output in context.plan.compute.items():
                with self.log.open("a") as log:
                    log.write(f"{context.commit.id}{path}\n")
                outputs[output] = context.scratch / output.lstrip("/")
                outputs[output].write_text(f"small {path}")
                context.progress(len(outputs), len(context.plan.compute), path)
            return StageOutput(outputs)

        return Stage(
            spec=RESIZE,
            code=lambda: "code",
            versions=dict,
            resolve=lambda text, own, where: Resolved(None, {}),
            work=work,
            awaited=lambda inputs: None,
            page=lambda record, local: "",
            assign=assign,
        )

    def fork(self, doom: tuple[int, bool], task: Any, *arguments: Any) -> int:
        """Call a function with a connection in a process of its own; return the process.

        Args:
            doom: the request at which the process is killed, from 1, 0 for never; and whether it is still carried out.
            task: the function; its answer, unless that is None, goes into a file.
            arguments: its further arguments.
        """
        process = os.fork()
        if process == 0:
            code = 1
            try:
                with (
                    living(pytest.MonkeyPatch(), *doom, sudden=True),
                    connect(self.target) as client,
                ):
                    answer = task(client, *arguments)
                if answer is not None:
                    self._answer.write_text(json.dumps(answer))
                code = 0
            except BaseException as error:  # noqa: BLE001 - the process must not return into the parent's code
                sys.stderr.write(f"{type(error).__name__}: {error}\n")
            finally:
                os._exit(code)
        return process

    def ask(self, task: Any, *arguments: Any) -> Any:
        """Call a function in a process of its own and return its answer."""
        self._answer.unlink(missing_ok=True)
        os.waitpid(self.fork((0, False), task, *arguments), 0)
        return json.loads(self._answer.read_text()) if self._answer.exists() else None

    def run(self, set_id: str, run: str) -> None:
        """Run the pipeline once: plan, then the shards, some at once; each task may be killed or doubled."""
        self._answer.unlink(missing_ok=True)
        self._wait("plan", [self.fork(self._doom(0.25, 30), self.plan, set_id, run)])
        if not self._answer.exists():
            return
        tickets = json.loads(self._answer.read_text())
        if tickets and self._random.random() < 0.2:
            tickets.append(self._random.choice(tickets))
            self.doubles += 1
        for start in range(0, len(tickets), AT_ONCE):
            last = start + AT_ONCE >= len(tickets)
            part = [
                self.fork(self._doom(0.4, 50), self.shard, ticket, run) for ticket in tickets[start : start + AT_ONCE]
            ]
            self._wait("publishing shard" if last else "shard", part)

    def _doom(self, probability: float, most: int) -> tuple[int, bool]:
        """Return the request at which a task is killed, and whether that is carried out."""
        last = self._random.randint(1, most) if self._random.random() < probability else 0
        return last, self._random.random() < 0.5

    def _wait(self, name: str, processes: list[int]) -> None:
        """Wait for tasks, and count those that were killed."""
        for process in processes:
            self.kills[name] += os.WIFSIGNALED(os.waitpid(process, 0)[1])

    def plan(self, client: Connection, set_id: str, run: str) -> list[str]:
        division = Division(RESIZE.name, INPUT_IMAGES.repo, SHARDS)
        fill_set(client, self.stage(), set_id, {}, self._worker(run), division)
        return list(division.tickets)

    def shard(self, client: Connection, ticket: str, run: str) -> None:
        fill_shard(client, self.stage(), ticket, self._worker(run))

    def _worker(self, run: str) -> Worker:
        scratch = self._folder / "scratch"
        scratch.mkdir(exist_ok=True)
        return Worker(run, f"{os.getpid()}", scratch, lambda done, total, note: None)

    def commit(self, client: Connection, number: int) -> str:
        sources = {}
        for picture in range(PICTURES):
            path = self._folder / "pictures" / f"{number}-{picture}.jpg"
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"{number} {picture}")
            sources[f"/{path.name}"] = path
        set_id = put(client, INPUT_IMAGES, sources, mirror_under="/").commit
        assert set_id is not None
        return set_id

    def release(self, client: Connection, set_id: str, run: str) -> bool:
        """Give the claim of a run that is over back, as the trigger does; return whether the commit is still open."""
        commit = inspect(client, PREPROCESS_IMAGES.repo, set_id)
        claim = live_claim(commit.metadata)
        if claim is not None and claim.holder == run:
            give_back(client, commit, claim.number, "the run is over")
        return commit.state == "open"

    def left_for_good(self, client: Connection) -> list[str]:
        """Return the plans that are left after their time, when another commit was divided."""
        branches.delete(client, (), (PREFIX,), time.time() + branches.FORGOTTEN_AFTER + 60)
        return branches.names(client, PREFIX)

    def problems(self, client: Connection, set_id: str, number: int) -> list[str]:
        """Return what is wrong with a finished commit."""
        commit = inspect(client, PREPROCESS_IMAGES.repo, set_id, wait=True)
        wrong = [] if commit.state == "good" else [f"{commit} is {commit.state}: {commit.error}"]
        listing = content(files(client, commit.repo, commit.id))
        names = {f"/{number}-{picture}.png" for picture in range(PICTURES)}
        if listing.keys() != names:
            wrong.append(f"{commit} holds {sorted(listing)}")
        wrong += [
            f"{commit}{path} is damaged"
            for path in listing
            if read(client, commit.repo, commit.id, path) != f"small {path.replace('png', 'jpg')}".encode()
        ]
        record = read_record(client, commit.repo, commit.id)
        if record is None or record.files.keys() != names or record.counts.computed != PICTURES:
            wrong.append(f"{commit} has a wrong record")
        return wrong


def main(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    racers, problems, number, most = Racers(folder, seed), [], 0, 0
    interrupted: set[str] = set()
    racers.ask(lambda client: set_up(client) and None)
    while racers.kills.total() < kills:
        sys.stderr.write(f"{number} commits, {dict(racers.kills)}\n")
        number += 1
        before, doubles = racers.kills.total(), racers.doubles
        set_id = racers.ask(racers.commit, number)
        for attempt in range(1, 100):
            racers.run(set_id, f"run-{number}-{attempt}")
            if not racers.ask(racers.release, set_id, f"run-{number}-{attempt}"):
                break
        if racers.kills.total() > before:
            interrupted.add(set_id)
        problems += racers.ask(racers.problems, set_id, number)
        lines = [line for line in racers.log.read_text().splitlines() if line.startswith(set_id)]
        again = max(Counter(lines).values()) - 1
        most = max(most, again)
        if again > racers.kills.total() - before + racers.doubles - doubles:
            problems.append(f"{set_id}: a picture was computed {again} times more than once")
    # A task that is killed after it has finished the commit leaves the plan, which a later commit's task deletes.
    left = [name for name in racers.ask(branches.names, PREFIX) if name.split("-")[1] not in interrupted]
    left += racers.ask(racers.left_for_good)
    if left:
        problems.append(f"{UNFINISHED.repo} holds plans of finished commits: {left}")
    racers.ask(delete_project, racers.target)
    return {
        "problems": problems,
        "commits": number,
        "kills": dict(racers.kills),
        "doubled": racers.doubles,
        "computed again at most": most,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))  # noqa: T201
