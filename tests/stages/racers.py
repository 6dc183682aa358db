"""Rounds of many processes at one output commit: some are killed, some are paused during their publication.

A separate program, since a process that has used gRPC cannot be forked: it imports everything, opens nothing, and forks
each contender. Run as ``python racers.py FOLDER ROUNDS SECONDS SEED``; prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from own_target import delete_project, own_target

from pachyderm.client.commits import head, inspect
from pachyderm.client.connection import Connection, Target, connect
from pachyderm.client.files import content, files, read
from pachyderm.client.upload import put
from pachyderm.dag.repos import CHECKPOINT, TRAIN, TRAINING
from pachyderm.dag.setup import set_up
from pachyderm.errors import PachydermError
from pachyderm.output.output_commit import fill_set
from pachyderm.output.stage import Resolved, Stage, StageContext, StageOutput
from pachyderm.output.worker import Worker
from pachyderm.record.stage_record import read_record

CONTENDERS = 16

FASTER = 5.0 if "PACHD_ADDRESS" in os.environ else 150.0
"""How much faster an observer's clock runs: a claim is stale after 2 seconds without a heartbeat, and an attempt that
does not finish the commit within 0.07 seconds counts as dead. On a server that takes longer to finish a commit, each
attempt would lose to the next one for ever."""


def stage(name: str) -> Stage:
    def work(context: StageContext) -> StageOutput:
        files = {}
        for number in range(5):
            files[f"/{number}"] = context.scratch / str(number)
            files[f"/{number}"].write_text(name)
        return StageOutput(files)

    return Stage(
        spec=TRAIN,
        code=lambda: "code",
        versions=dict,
        resolve=lambda text, own, where: Resolved(None, {}),
        work=work,
        awaited=lambda inputs: None,
        page=lambda record, local: "",
    )


def contend(target: Target, folder: Path, set_id: str, name: str) -> None:
    with connect(target) as client:
        scratch = folder / "scratch"
        scratch.mkdir(exist_ok=True)
        clock = time.monotonic
        worker = Worker(
            name,
            name,
            scratch,
            lambda done, total, note: None,
            clock=lambda: clock() * FASTER,
            pause=lambda seconds: time.sleep(3 * seconds / FASTER),
        )
        fill_set(client, stage(name), set_id, {}, worker)


def forked(function, *arguments) -> int:  # type: ignore[no-untyped-def]
    process = os.fork()
    if process == 0:
        code = 1
        try:
            function(*arguments)
            code = 0
        except PachydermError as error:
            sys.stderr.write(f"{error}\n")
        finally:
            os._exit(code)
    return process


def begin(target: Target, folder: Path, number: int) -> None:
    with connect(target) as client:
        if number == 0:
            set_up(client)
        file = folder / "input"
        file.write_text(str(number))
        put(client, TRAINING, {"/input": file})


def newest(client: Connection) -> str:
    return head(client, TRAINING).id


def write_newest(target: Target, folder: Path) -> None:
    with connect(target) as client:
        (folder / "set").write_text(newest(client))


def judge(target: Target, folder: Path, set_id: str) -> None:
    """Write the problem of the round, or nothing if there is none."""
    with connect(target) as client:
        commit = inspect(client, CHECKPOINT.repo, set_id)
        record = read_record(client, commit.repo, commit.id)
        texts = {
            path: (read(client, commit.repo, commit.id, path) or b"").decode()
            for path in content(files(client, commit.repo, commit.id))
        }
    problem = ""
    if commit.state != "good" or record is None:
        problem = f"lost: {commit.state} {commit.error}"
    elif set(texts) != {f"/{number}" for number in range(5)}:
        problem = f"doubled or missing: {sorted(texts)}"
    elif set(texts.values()) != {record.run["attempt"]}:
        problem = f"mixed: {sorted(set(texts.values()))}, and the record names {record.run['attempt']}"
    (folder / "verdict").write_text(problem)


def end_project(target: Target) -> None:
    with connect(target) as client:
        delete_project(client, target)


def race_once(target: Target, folder: Path, number: int, chance: random.Random) -> tuple[str, int, int]:
    """Run one round; return its problem, and how many contenders were killed and paused."""
    os.waitpid(forked(begin, target, folder, number), 0)
    os.waitpid(forked(write_newest, target, folder), 0)
    set_id = (folder / "set").read_text()
    contenders = {
        forked(contend, target, folder, set_id, f"{number}.{contender}"): contender for contender in range(CONTENDERS)
    }
    fates = [(chance.uniform(0.0, 2.5), chance.choice(("kill", "pause")), process) for process in contenders]
    fates = sorted(chance.sample(fates, CONTENDERS // 2))
    began, killed, paused = time.monotonic(), 0, []
    for offset, fate, process in fates:
        time.sleep(max(0.0, began + offset - time.monotonic()))
        if os.waitpid(process, os.WNOHANG)[0]:
            contenders.pop(process)
        elif fate == "kill":
            os.kill(process, signal.SIGKILL)
            killed += 1
        else:
            os.kill(process, signal.SIGSTOP)
            paused.append(process)
    for process in [contender for contender in contenders if contender not in paused]:
        os.waitpid(process, 0)
    # The others are done or dead; the paused ones now resume.
    for process in paused:
        os.kill(process, signal.SIGCONT)
    for process in paused:
        os.waitpid(process, 0)
    # The last one killed may have left the commit open, as a crash does; the next attempt finishes it.
    os.waitpid(forked(contend, target, folder, set_id, f"{number}.last"), 0)
    os.waitpid(forked(judge, target, folder, set_id), 0)
    return (folder / "verdict").read_text(), killed, len(paused)


def main(folder: Path, rounds: int, seconds: float, seed: int) -> None:
    chance, target = random.Random(seed), own_target(folder)
    end = time.monotonic() + seconds
    summary = {"rounds": 0, "killed": 0, "paused": 0, "problems": []}
    for number in range(rounds):
        verdict, killed, paused = race_once(target, folder, number, chance)
        summary["rounds"] += 1
        summary["killed"] += killed
        summary["paused"] += paused
        if verdict:
            summary["problems"].append(f"round {number}: {verdict}")
        if number % 50 == 49:
            sys.stderr.write(f"{summary}\n")
        if time.monotonic() > end:
            break
    os.waitpid(forked(end_project, target), 0)
    sys.stdout.write(json.dumps(summary) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
