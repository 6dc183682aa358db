"""Kills of a store's process while another one works on the same folder, and while the disk is full."""

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from small_disk import enlarge, small_disk
from store_writer import ForkServer, acknowledged, kill
from test_store_kills import KILLED, verify

BRANCH_HEAD = 1
"""Commits that exist before the first write: the empty head of the branch that `Writer.repo` creates."""

LATER = 1_000_000
"""Number of the first commit of the second process; the first one's are below it."""


@pytest.fixture(scope="module")
def fork_servers() -> Iterator[tuple[ForkServer, ForkServer]]:
    with ExitStack() as stack:
        servers = ForkServer(), ForkServer()
        for server in servers:
            stack.callback(server.close)
        yield servers


def numbers(folder: Path, member: int) -> list[int]:
    """Return the numbers of the acknowledged commits of a process, 0 or 1."""
    paths = (note["paths"][0] for note in acknowledged(folder) if "repo" in note)
    return [number for number in (int(path.split("/")[1][1:]) for path in paths) if (number >= LATER) == bool(member)]


def until(happened: threading.Event, condition: object) -> None:
    """Wait until a condition, a function without arguments, holds."""
    assert callable(condition)
    for _ in range(6000):
        if condition():
            return
        happened.wait(0.01)
    raise AssertionError("it did not happen within a minute")


def kills_in_turns(servers: tuple[ForkServer, ForkServer], folder: Path, kills: int, rng: random.Random) -> None:
    """Two processes write to one branch; one of them is killed, and the other must go on, before it is started again.

    The numbers of a process that is started again begin beyond the commits that its predecessor may have made without
    an acknowledgement.
    """
    never = threading.Event()

    def begin(member: int, kill_number: int) -> int:
        start = max(numbers(folder, member), default=member * LATER) + 100
        return servers[member].begin(folder, "endless", start, 10**9, f"m{member}-{kill_number}")

    children = [begin(0, -1), begin(1, -1)]
    for number in range(kills):
        victim, survivor = (number % 2, 1 - number % 2)
        until(never, lambda number=number: all(len(numbers(folder, member)) > number // 2 for member in (0, 1)))
        never.wait(rng.uniform(0, 0.2))
        kill(children[victim])
        assert servers[victim].end() == KILLED
        before = len(numbers(folder, survivor))
        until(never, lambda survivor=survivor, before=before: len(numbers(folder, survivor)) > before)
        children[victim] = begin(victim, number)
    for child, server in zip(children, servers, strict=True):
        kill(child)
        assert server.end() == KILLED
    found, noted = verify(folder), len(numbers(folder, 0)) + len(numbers(folder, 1))
    assert noted <= found <= noted + kills + 2, "at most one unacknowledged commit per kill"
    print(f"kills: {kills + 2}, commits: {found}, acknowledged: {noted}, lost: 0")  # noqa: T201


def test_a_kill_of_one_of_two_processes_stops_and_loses_nothing_of_the_other(
    fork_servers: tuple[ForkServer, ForkServer], tmp_path: Path
) -> None:
    kills_in_turns(fork_servers, tmp_path, kills=4, rng=random.Random(15))


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_200_kills_of_one_of_two_processes_stop_and_lose_nothing_of_the_other(
    fork_servers: tuple[ForkServer, ForkServer], tmp_path: Path, volume: Callable[[int, int], int]
) -> None:
    kills_in_turns(fork_servers, tmp_path, volume(200, 6), random.Random(16))


def test_kills_at_a_full_disk_lose_nothing_and_the_work_goes_on_once_there_is_space(
    fork_servers: tuple[ForkServer, ForkServer], tmp_path: Path
) -> None:
    """On a file system of its own, which is full when the writer is killed and then gets more space."""
    server, never, rng = fork_servers[0], threading.Event(), random.Random(17)
    with small_disk(tmp_path / "data", 1.5) as data:
        for kills, size in enumerate((2, 3, 4), start=1):
            refusals = sum("full" in note for note in acknowledged(tmp_path))
            child = server.begin(tmp_path, "pressing", max(numbers(tmp_path, 0), default=0) + 1000)
            until(never, lambda before=refusals: sum("full" in n for n in acknowledged(tmp_path)) > before)
            never.wait(rng.uniform(0, 0.1))
            kill(child)
            assert server.end() == KILLED
            enlarge(data, size)
            noted, found = len(numbers(tmp_path, 0)), verify(tmp_path) - BRANCH_HEAD
            assert noted <= found <= noted + kills, "at most one unacknowledged commit per kill"
    assert len(numbers(tmp_path, 0)) > 3
