"""The process with the libraries imported, as a program; `prepared_process` starts it."""

from __future__ import annotations

import ctypes
import importlib
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pix2pix.tensorflow import ENVIRONMENT, configure_tensorflow
from workflows.runners import local_child
from workflows.runners.prepared.fork_server import MARK_SPACE, READY, Server
from workflows.runners.prepared.task_forks import TaskForks
from workflows.runners.run_folder import RunFolder


def prepare(modules: Sequence[str]) -> bool:
    """Import modules; return whether forks may use them.

    Imports alone start no thread that a fork would miss, except those of OpenBLAS, which restarts its own. With a GPU
    the search for devices initializes CUDA, which no fork can use.
    """
    configure_tensorflow()
    for module in modules:
        importlib.import_module(module)
    if "components.registry" in modules:
        from components.registry import SPECS, stage

        for name in SPECS:
            stage(name).code()
    tensorflow = sys.modules.get("tensorflow")
    gpus = tensorflow.config.list_physical_devices("GPU") if tensorflow is not None else []
    return threading.active_count() == 1 and not gpus


class Mark:
    """The place of an environment variable in the memory that other processes see as the initial environment.

    `processes.kill_marked` finds the processes of a run by it, and a fork has the initial environment of its parent.

    Args:
        name: the variable; its value at the start of this process reserves the space.
    """

    def __init__(self, name: str) -> None:
        getenv = ctypes.CDLL(None).getenv
        getenv.restype = ctypes.c_void_p
        self._address = getenv(name.encode())

    def write(self, value: str) -> None:
        """Replace the value; the rest of the space becomes a variable of its own."""
        text = value.encode() + b"\0_="
        ctypes.memmove(self._address, text + b"-" * (MARK_SPACE - len(text)), MARK_SPACE)


def run(wanted: Any, mark: Mark) -> int:
    """Execute the run of a folder, as `local_child` does."""
    environment = wanted["environment"]
    mark.write(environment[wanted["mark"]])
    settings = {name: os.environ[name] for name in ENVIRONMENT}
    os.environ.clear()
    os.environ.update({**settings, **environment})
    os.chdir(wanted["folder"])
    sys.argv = [local_child.__file__, wanted["folder"]]
    lifeline = local_child.own_lifeline()
    from kfp.local import subprocess_task_handler

    forks = TaskForks(closed=(lifeline,))
    subprocess_task_handler.run_local_subprocess = forks.replace(subprocess_task_handler.run_local_subprocess)
    return local_child.main(RunFolder(Path(wanted["folder"])), lifeline)


def main(descriptor: int, name: str, modules: Sequence[str]) -> int:
    """Prepare, and serve until the runner ends.

    Args:
        descriptor: of the server's end of the socket.
        name: environment variable with a run's folder.
        modules: to import.
    """
    connection = socket.socket(fileno=descriptor)
    mark = Mark(name)
    connection.send(READY if prepare(modules) else b"unsuitable")
    Server(connection, lambda wanted: run(wanted, mark), session=True).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
