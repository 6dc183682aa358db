"""A fork is like a process that was started anew, and its end is reported however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from workflows.runners.prepared.fork_server import Fork

PROGRAM = """
import os, random, signal, socket, sys

from workflows.runners.prepared.fork_server import Server

def job(wanted):
    match wanted["do"]:
        case "draw":
            print(random.random())
        case "wait":
            signal.pause()
        case "exit":
            sys.exit(wanted["code"])
        case "fail":
            raise ValueError("told to fail")
    return 0

Server(socket.socket(fileno=int(sys.argv[1])), job, session=True).serve()
"""


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """The other end of the socket of a server of forks."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    with ours:
        yield ours
    assert process.wait(10) == 0, "a server ends with the one that it serves"


def forked(server: socket.socket, **wanted: object) -> tuple[Fork, int]:
    """A fork, and the descriptor that its output is read from."""
    reader, writer = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    fork = Fork.request(server, wanted, nothing, writer)
    os.close(nothing)
    os.close(writer)
    assert fork is not None
    return fork, reader


def ended(server: socket.socket, **wanted: object) -> tuple[int, str]:
    """The exit code and the output of a fork."""
    fork, reader = forked(server, **wanted)
    with os.fdopen(reader) as file:
        output = file.read()
    return fork.wait(), output


def test_each_fork_draws_random_numbers_of_its_own(server: socket.socket) -> None:
    drawn = [ended(server, do="draw") for _ in range(3)]
    assert [code for code, _ in drawn] == [0, 0, 0]
    assert len({output for _, output in drawn}) == 3


@pytest.mark.parametrize(
    ("code", "expected", "output"),
    [(None, 0, ""), (0, 0, ""), (3, 3, ""), (-1, 255, ""), ("it cannot go on", 1, "it cannot go on\n")],
)
def test_a_fork_exits_as_a_process_of_its_own_does(
    server: socket.socket, code: object, expected: int, output: str
) -> None:
    assert ended(server, do="exit", code=code) == (expected, output)


def test_a_fork_that_fails_prints_why_and_a_killed_one_is_reported_with_its_signal(server: socket.socket) -> None:
    code, output = ended(server, do="fail")
    assert code == 1 and output.splitlines()[-1] == "ValueError: told to fail"
    fork, reader = forked(server, do="wait")
    os.kill(fork.pid, signal.SIGTERM)
    assert fork.wait() == -signal.SIGTERM
    os.close(reader)


def test_a_fork_whose_end_nobody_can_report_counts_as_killed(server: socket.socket) -> None:
    fork, reader = forked(server, do="wait")
    process = psutil.Process(fork.pid)
    monitor = process.parent()
    assert monitor is not None
    monitor.kill()
    code = fork.wait()
    process.kill()
    os.close(reader)
    assert code == -signal.SIGKILL


def test_a_server_that_has_ended_gives_no_fork(server: socket.socket) -> None:
    server.shutdown(socket.SHUT_WR)
    assert server.recv(1) == b"", "it ended"
    assert Fork.request(server, {"do": "draw"}, 0, 1) is None
