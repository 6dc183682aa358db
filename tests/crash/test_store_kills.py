"""Kills of a store's process, at each step and at random moments: nothing acknowledged is lost, nothing half shown."""

import json
import os
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pachyderm_sdk import Client
from pachyderm_sdk.api import pfs
from store_writer import ForkServer, acknowledged, body, kill, numbered

from pachyderm.store.database.failpoints import POINTS
from pachyderm.store.maintenance.fsck import check
from pachyderm.store.rpc.server import StoreServer

KILLED = 9

SEED = int(os.environ.get("KILLS_SEED", "6"))
"""Of the random kills: with another one, `--volume 0.1` makes another tenth of them."""


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


def verify(folder: Path) -> int:
    """Open the store again and compare it with the notes; return the number of commits of `source`."""
    notes = acknowledged(folder)
    if any("damaging" in note for note in notes):
        check(folder / "data", repair=True)
    with StoreServer(folder / "data", f"unix:{folder / 'check'}"):
        assert check(folder / "data") == []
        client = Client(host="unix", port=str(folder / "check"))
        seen: dict[str, set[str]] = {}
        for info in client.pfs.list_repo():
            head = (
                client.pfs.inspect_branch(branch=pfs.Branch(repo=info.repo, name="master")).head
                if info.branches
                else None
            )
            seen[info.repo.name] = visible(client, head) if head else set()
        for note in notes:
            if "promoted" in note:
                branch = pfs.Branch(repo=pfs.Repo(name="output"), name="promoted")
                assert client.pfs.inspect_branch(branch=branch).head.id == note["promoted"]
            elif "repo" in note:
                assert seen[note["repo"]].issuperset(note["paths"]), note
        source = pfs.Repo(name="source")
        return len(list(client.pfs.list_commit(repo=source))) if "source" in seen else 0


def visible(client: Client, head: pfs.Commit) -> set[str]:
    """Return the files of a commit, after checking that each file and each stream (a directory) is complete."""
    info = client.pfs.inspect_commit(commit=head)
    if info.finished.timestamp() <= 0 and info.parent_commit.id:
        parent = client.pfs.inspect_commit(commit=info.parent_commit)
        if parent.finished.timestamp() <= 0:
            return set()
    found, streams = set(), defaultdict(list)
    nodes = [node for node in client.pfs.walk_file(file=pfs.File(commit=head, path="/")) if node.file_type == 1]
    for node in nodes:
        path = node.file.path
        assert node.size_bytes == len(body(path))
        streams[path.split("/")[1]].append(path)
        found.add(path)
    for name, paths in streams.items():
        assert len(paths) == whole(name), paths
    for path in sorted(found)[-20:]:
        assert b"".join(piece.value for piece in client.pfs.get_file(file=pfs.File(commit=head, path=path))) == body(
            path
        )
    return found


def whole(name: str) -> int:
    """Return the number of files in the stream of this name."""
    if not name.startswith("n"):
        return {"small": 2, "large": 3, "published": 2, "doomed": 1, "last": 1}[name]
    return len(numbered(int(name[1:])))


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_a_failpoint_loses_nothing(fork_server: ForkServer, tmp_path: Path, point: str) -> None:
    """The writer must die: with a failpoint that is never reached it would succeed."""
    fork_server.begin(tmp_path, "scenario", failpoints=f"{point}=kill")
    assert fork_server.end() == KILLED
    verify(tmp_path)
    fork_server.begin(tmp_path, "endless", 0, 2)
    assert fork_server.end() == 0
    verify(tmp_path)


def test_the_scenario_succeeds_without_kills(fork_server: ForkServer, tmp_path: Path) -> None:
    fork_server.begin(tmp_path, "scenario")
    assert fork_server.end() == 0
    verify(tmp_path)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_a_kill_at_every_pass_through_any_failpoint_loses_nothing(
    fork_server: ForkServer, tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    number, kills = 0, 0
    while True:
        number += 100 // volume(100, 8)
        folder = tmp_path / str(number)
        fork_server.begin(folder, "scenario", failpoints=f"*=kill@{number}")
        ended = fork_server.end()
        verify(folder)
        if ended == 0:
            break
        assert ended == KILLED
        kills += 1
    print(f"kills: {kills}, lost: 0")  # noqa: T201
    assert number > len(POINTS)


def wait_for_more(folder: Path, before: int) -> None:
    """Wait until the writer has had another commit acknowledged."""
    for _ in range(6000):
        if sum("repo" in note for note in acknowledged(folder)) > before:
            return
        threading.Event().wait(0.01)
    raise AssertionError("no commit was acknowledged within a minute")


def random_kills(fork_server: ForkServer, folder: Path, kills: int, commits: int, rng: random.Random) -> None:
    done = found = 0
    while done < kills or found < commits:
        noted = [note for note in acknowledged(folder) if "repo" in note]
        start = 1 + max((int(note["paths"][0].split("/")[1][1:]) for note in noted), default=0)
        child = fork_server.begin(folder, "endless", start + 100)
        if rng.random() < 0.2:
            threading.Event().wait(rng.uniform(0, 0.5))
        else:
            wait_for_more(folder, len(noted))
            threading.Event().wait(rng.uniform(0, 0.2))
        kill(child)
        assert fork_server.end() == KILLED
        done += 1
        found = verify(folder)
        noted = [note for note in acknowledged(folder) if "repo" in note]
        assert len(noted) <= found <= len(noted) + done, "at most one unacknowledged commit per kill"
        if done % 25 == 0:
            print(f"kills: {done}, commits: {found}, acknowledged: {len(noted)}", flush=True)  # noqa: T201
    names = [json.dumps(note["paths"]) for note in noted]
    twice = len(names) - len(set(names))
    print(f"kills: {done}, commits: {found}, acknowledged: {len(noted)}, lost: 0, twice: {twice}")  # noqa: T201
    assert len(names) == len(set(names))


def test_kills_at_random_moments_lose_nothing(fork_server: ForkServer, tmp_path: Path) -> None:
    random_kills(fork_server, tmp_path, kills=6, commits=0, rng=random.Random(5))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_1000_kills_over_2000_commits_lose_nothing(
    fork_server: ForkServer, tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    random_kills(fork_server, tmp_path, volume(1000, 10), volume(2000, 20), random.Random(SEED))


def write_together(fork_server: ForkServer, folder: Path, members: int, count: int) -> None:
    fork_server.begin(folder, "endless", 0, 1)
    assert fork_server.end() == 0
    fork_server.begin(folder, "crowd", members, count)
    assert fork_server.end() == 0
    assert verify(folder) == members * count + 1
    with StoreServer(folder / "data", f"unix:{folder / 's'}"):
        client = Client(host="unix", port=str(folder / "s"))
        infos = list(client.pfs.list_commit(repo=pfs.Repo(name="source")))
    assert [info.parent_commit.id for info in infos[:-1]] == [info.commit.id for info in infos[1:]]


def test_processes_that_write_to_one_branch_make_one_history(fork_server: ForkServer, tmp_path: Path) -> None:
    write_together(fork_server, tmp_path, members=4, count=8)


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_16_processes_of_50_commits_make_one_history_of_800(
    fork_server: ForkServer, tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    write_together(fork_server, tmp_path, members=16, count=volume(50, 2))
