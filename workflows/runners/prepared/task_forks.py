"""The tasks of a local run, forked instead of started anew."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workflows.runners.prepared.fork_server import Fork, Server

SCRIPT = "ephemeral_component.py"
"""Name of the file that the command of `kfp.local` 2.17 writes a component's source into."""


class TaskForks:
    """Executes the commands of `kfp.local` in forks of this process as it was when this was made.

    Make it before any thread is started. A command of another form is left to `kfp.local`.

    Args:
        closed: descriptors that tasks must not hold.
    """

    def __init__(self, closed: Sequence[int] = ()) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            try:
                ours.close()
                for descriptor in closed:
                    os.close(descriptor)
                Server(theirs, execute, session=False).serve()
            finally:
                os._exit(0)
        theirs.close()
        self._connection = ours

    def replace(self, original: Callable[..., int]) -> Callable[..., int]:
        """Return a replacement of ``kfp.local.subprocess_task_handler.run_local_subprocess``."""

        def run(full_command: list[str], env_vars: dict[str, str] | None = None) -> int:
            arguments = arguments_of(full_command)
            fork = self._start(arguments, env_vars or {}) if arguments is not None else None
            return original(full_command, env_vars) if fork is None else fork

        return run

    def _start(self, arguments: list[str], environment: dict[str, str]) -> int | None:
        reader, writer = os.pipe()
        nothing = os.open(os.devnull, os.O_RDONLY)
        wanted = {"arguments": arguments, "environment": environment}
        fork = Fork.request(self._connection, wanted, nothing, writer)
        os.close(writer)
        os.close(nothing)
        with os.fdopen(reader, encoding="utf-8", errors="replace", buffering=1) as output:
            if fork is None:
                return None
            # As `kfp.local` does: it replaces `print`, to indent what tasks print.
            for line in output:
                print(line, end="")  # noqa: T201
            print("\n")  # noqa: T201
            return fork.wait()


def arguments_of(command: Sequence[str]) -> list[str] | None:
    """Return a component's source and the arguments of its executor, from a command of `kfp.local`; None for others."""
    for number, part in enumerate(command[:-1]):
        if f'"$program_path/{SCRIPT}"' in part and '"$@"' in part and "kfp.dsl.executor_main" in part:
            return list(command[number + 1 :])
    return None


def execute(wanted: Any) -> int:
    """Execute a component as the command of `kfp.local` does; return the exit code."""
    from kfp.dsl import executor_main

    os.environ.update(wanted["environment"], _KFP_RUNTIME="true")
    source, *arguments = wanted["arguments"]
    script = Path(tempfile.mkdtemp()) / SCRIPT
    script.write_text(source, encoding="utf-8")
    sys.argv = [executor_main.__file__, "--component_module_path", str(script), *arguments]
    executor_main.executor_main()
    return 0
