"""A single-threaded process that forks what it is asked for, and reports how each fork ends.

A request is one message over a Unix socket with four descriptors: the request as JSON, the pipe for the report, and
the fork's standard input and output. The report is the id of the process on one line and its exit code on the next
(-N for the signal N). The server ends when the other end of its socket is closed.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

DESCRIPTORS = 4
"""Request, report, standard input and standard output."""

READY = b"ready"
"""A server's first message; any other means that its forks cannot be used."""

MARK_SPACE = 1000
"""Bytes of the initial environment that a run's mark is written into."""

Job = Callable[[Any], int]
"""What a fork does: (the request) -> exit code."""


@dataclass(frozen=True)
class Server:
    """A server of forks.

    Attributes:
        connection: the server's end of the socket.
        job: what each fork does.
        session: whether each fork becomes the leader of a session of its own.
    """

    connection: socket.socket
    job: Job
    session: bool

    def serve(self) -> None:
        """Fork for each request until the other end is closed; a fork never returns from here."""
        # The kernel collects the monitors.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        # The objects that exist by now are never garbage: a collection in a fork would copy the pages of all of them.
        gc.freeze()
        while True:
            message, descriptors, _, _ = socket.recv_fds(self.connection, 1, DESCRIPTORS)
            if not message or len(descriptors) != DESCRIPTORS:
                return
            if os.fork() == 0:
                self._monitor(*descriptors)
            for descriptor in descriptors:
                os.close(descriptor)

    def _monitor(self, request: int, report: int, stdin: int, stdout: int) -> NoReturn:
        """Fork the job, and report its id and its end."""
        code = 1
        try:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self.connection.close()
            pid = os.fork()
            if pid == 0:
                os.close(report)
                self._become(request, stdin, stdout)
            for descriptor in (request, stdin, stdout):
                os.close(descriptor)
            os.write(report, f"{pid}\n".encode())
            _, status = os.waitpid(pid, 0)
            os.write(report, f"{os.waitstatus_to_exitcode(status)}\n".encode())
            code = 0
        finally:
            os._exit(code)

    def _become(self, request: int, stdin: int, stdout: int) -> NoReturn:
        """Do the job in this process, as one that was started anew would, and end it."""
        code = 1
        try:
            if self.session:
                os.setsid()
            with os.fdopen(request, "rb") as file:
                wanted = json.loads(file.read())
            for descriptor, target in ((stdin, 0), (stdout, 1), (stdout, 2)):
                os.dup2(descriptor, target)
            for descriptor in {stdin, stdout} - {0, 1, 2}:
                os.close(descriptor)
            tempfile.tempdir = None
            code = self.job(wanted)
        except SystemExit as end:
            code = _exit_code(end)
        except BaseException:  # noqa: BLE001 - the end of a process: print it as Python does
            sys.excepthook(*sys.exc_info())
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)


def _exit_code(end: SystemExit) -> int:
    """Return the exit code of a process that ends so; print a message as Python does."""
    if end.code is None or isinstance(end.code, int):
        return (end.code or 0) & 0xFF
    sys.stderr.write(f"{end.code}\n")
    return 1


@dataclass
class Fork:
    """A fork as the process that asked for it sees it; the interface of `subprocess.Popen` that the runner uses.

    Attributes:
        pid: its id.
        returncode: its exit code once it has ended: -N for the signal N.
    """

    pid: int
    returncode: int | None
    _report: int

    @classmethod
    def request(cls, connection: socket.socket, wanted: Mapping[str, Any], stdin: int, stdout: int) -> Fork | None:
        """Ask a server for a fork; None if the server has ended. Several threads may do so at once."""
        reader, writer = os.pipe()
        content = os.memfd_create("request", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(content), "wb") as file:
                file.write(json.dumps(wanted).encode())
            os.lseek(content, 0, os.SEEK_SET)
            socket.send_fds(connection, [b"r"], [content, writer, stdin, stdout])
        except OSError:
            os.close(reader)
            return None
        finally:
            os.close(writer)
            os.close(content)
        line = _line(reader)
        if line is None:
            os.close(reader)
            return None
        return cls(int(line), None, reader)

    def wait(self) -> int:
        """Wait for the end; return the exit code."""
        if self.returncode is None:
            line = _line(self._report)
            os.close(self._report)
            # Without a report the monitor was killed, as by the kernel for lack of memory, and the fork is lost.
            self.returncode = -signal.SIGKILL if line is None else int(line)
        return self.returncode

    def fileno(self) -> int:
        """Return the descriptor that is readable once it has ended."""
        return self._report


def _line(descriptor: int) -> str | None:
    """Read one line, byte by byte, since the next one belongs to another reader; None at the end of the file."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            return None
        line += byte
    return line.decode()
